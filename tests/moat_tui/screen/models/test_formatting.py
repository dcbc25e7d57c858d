"""What the panes say, in plain code."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len
from support.screen_home import NOW, FakeEntry, FakeVerdict, ago, request

from engine import GrantInfo, GrantState, PublishedPort, RunInfo, RunRequest, RunState
from moat_tui.screen.models import audit_report, grant_rows, moments, request_line, run_rows
from moat_tui.screen.models.finding import matches, next_match
from moat_tui.screen.models.line_counts import LineCounts
from moat_tui.screen.models.pieces import fit, fit_right, shorten_path
from moat_tui.screen.models.request_report import BODY_LINES, request_report
from moat_tui.screen.models.start_form import FormError, build_request, missing_values, variables


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        ({"seconds": 0}, "now"),
        ({"seconds": -9}, "now"),
        ({"seconds": 42}, "42s"),
        ({"minutes": 7}, "7m"),
        ({"hours": 30}, "1d"),
        ({"days": 12}, "12d"),
        ({"days": 800}, "2y"),
    ],
)
def test_age(delta, shown):
    assert moments.age(ago(**delta), NOW) == shown


@pytest.mark.parametrize("text", ["", "yesterday", "2026-99-01T00:00:00Z"])
def test_an_unknown_time_is_a_dash(text):
    assert moments.age(text, NOW) == "-"
    assert moments.clock_time(text) == "--:--:--"
    assert moments.date_time(text) == "-"
    assert moments.ahead(text, NOW) == ""


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "0ms"),
        (999, "999ms"),
        (1000, "1.0s"),
        (99_940, "99.9s"),
        (99_960, "1m39s"),
        (125_000, "2m05s"),
        (11_220_000, "3h07m"),
    ],
)
def test_duration_fits_its_column(milliseconds, shown):
    assert moments.duration(milliseconds) == shown
    assert len(shown) <= 6


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1536, "1.5K"),
        (20 * 1024**2, "20M"),
        (1024**2 - 1, "1.0M"),
        (5 * 1024**5, "5120T"),
    ],
)
def test_size(count, shown):
    assert moments.size(count) == shown


def test_fit_counts_columns_not_characters():
    assert fit("日本語", 4) == "日 …"
    assert cell_len(fit("日本語", 5)) == 5
    assert fit("ab", 4) == "ab  "
    assert fit_right("ab", 4) == "  ab"
    assert fit("abc", 0) == ""


def test_paths_under_the_home_are_short():
    assert shorten_path("/home/dana/src", "/home/dana") == "~/src"
    assert shorten_path("/home/danae", "/home/dana") == "/home/danae"
    assert shorten_path("/a/very/long/path", "", 8) == "…ng/path"


@pytest.mark.parametrize("width", [40, 60, 75, 80, 116, 200])
def test_a_request_line_is_as_wide_as_its_heading(width):
    record = request(
        1, url="https://" + "x" * 300, host="h" * 100, grant="g" * 40, method="PROPFIND", decision="denied"
    )
    for shown in (request(1), record, request(2, status_code=0, error="timed out", duration_ms=10**9)):
        line = "".join(text for text, _ in request_line.request_pieces(shown, width))
        assert cell_len(line) == cell_len(request_line.heading(width))
        assert cell_len(line) <= max(width, 60)


@pytest.mark.parametrize(
    ("status", "error", "shown"),
    [(200, "", "200"), (304, "", "304"), (404, "", "404"), (529, "", "529"), (0, "x", "err"), (0, "", "-")],
)
def test_every_status_has_its_own_text(status, error, shown):
    assert request_line.status_piece(request(1, status_code=status, error=error))[0] == shown


def test_a_url_that_is_none_is_shown_as_it_came():
    assert request_line.place(request(1, url="http://[", host="")) == ("", "http://[")
    assert request_line.place(request(1, url="https://h.test", host="")) == ("h.test", "/")


def test_request_report_is_bounded():
    lines = request_report(request(1, response_body="\n" * 8000))
    assert len(lines) < BODY_LINES + 60
    assert "more lines" in lines[-1][0][0]


STATES = {
    RunState.STARTING: "starting",
    RunState.RUNNING: "running",
    RunState.STOPPING: "stopping",
    RunState.STOPPED: "stopped",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "interrupted",
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_a_glyph_and_a_word(state):
    text, role = run_rows.state_piece(RunInfo("run_1", "n", "", state))
    glyph, word = text.split(" ")
    assert (len(glyph), word) == (1, STATES[state])
    assert role


def test_exit_codes_are_told():
    run = RunInfo("run_1", "n", "", RunState.EXITED)
    texts = [run_rows.state_piece(msgspec.structs.replace(run, exit_code=code))[0] for code in (0, 2, None)]
    assert texts == ["✓ exited 0", "✗ exited 2", "✓ exited"]


def test_where_a_live_runs_ports_are_stands_under_it():
    port = PublishedPort("web", 3000, "127.0.0.1:49152")
    live = RunInfo("run_1", "n", "", RunState.RUNNING, workspace="/w", command=("serve",), ports=(port,))
    ((text, _),) = run_rows.about(live, "/home")
    assert text.startswith("/w  ·  web http://127.0.0.1:49152  ·  serve")
    ((text, _),) = run_rows.about(msgspec.structs.replace(live, state=RunState.EXITED), "/home")
    assert "49152" not in text


def test_a_run_that_was_given_docker_says_so_first():
    run = RunInfo("run_1", "n", "", RunState.RUNNING, docker="host")
    assert run_rows.about(run, "/root")[0] == ("! docker:host  ·  ", "bad")
    assert "docker:" not in "".join(text for text, _ in run_rows.about(RunInfo("run_1", "n", ""), "/root"))


@pytest.mark.parametrize("total", [40, 60, 72, 76, 77, 99, 100, 118, 190])
def test_run_columns_fill_the_width(total):
    widths = run_rows.widths(total)
    assert len(widths) == len(run_rows.TITLES)
    taken = sum(width + 2 for width in widths if width)
    assert taken == total if total >= 57 else taken == 57
    left_out = [title for title, width in zip(run_rows.TITLES, widths, strict=True) if not width]
    assert left_out == (["Last 3 min", "Runtime"] if total < 72 else ["Runtime"] if total < 100 else [])


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        (ago(seconds=9), "", "9s"),
        (ago(seconds=-9), "", "0s"),
        (ago(minutes=4, seconds=5), ago(), "4m05s"),
        (ago(hours=3, minutes=7), "", "3h07m"),
        (ago(days=4), ago(days=1, hours=20), "2d04h"),
        (ago(days=4000), "", "10y"),
        ("", "", "-"),
        (ago(), "never", "-"),
    ],
)
def test_how_long_it_lasted(start, end, shown):
    assert moments.lasted(start, end, NOW) == shown
    assert len(shown) <= 6


def test_a_run_that_never_started_lasted_no_time():
    run = RunInfo("run_1", "n", ago(minutes=2))
    assert run_rows.ran(run, NOW) == "-"
    assert run_rows.ran(msgspec.structs.replace(run, state=RunState.RUNNING), NOW) == "2m00s"
    started = msgspec.structs.replace(run, state=RunState.FAILED, started_at=ago(seconds=9), ended_at=ago())
    assert run_rows.ran(started, NOW) == "9s"


@pytest.mark.parametrize("total", [63, 77, 118, 190])
def test_grant_columns_fill_the_width(total):
    widths = grant_rows.widths(total)
    assert len(widths) == len(grant_rows.TITLES)
    assert sum(width + 2 for width in widths if width) == total
    assert min(widths[:-1]) >= 4
    assert bool(widths[-1]) == (total >= 90)


@pytest.mark.parametrize("state", list(GrantState))
def test_a_grant_state_is_a_glyph_and_a_word(state):
    text, role = grant_rows.state_piece(GrantInfo("x", state=state, expires_at=ago(days=-3)), NOW)
    assert len(text.split(" ")) >= 2
    assert role


def test_a_grant_report_has_everything_but_a_value():
    grant = GrantInfo(
        "github", "work", problem="flipped", state=GrantState.UNREADABLE, env={"GH_TOKEN": "placeholder"}
    )
    text = "\n".join("".join(part for part, _ in line) for line in grant_rows.grant_report(grant, {}, NOW))
    for part in ("github (work)", "unreadable", "flipped", "GH_TOKEN=placeholder", "never"):
        assert part in text


def test_a_verdict_on_an_open_and_a_closed_chain():
    def first(verdict, live):
        return "".join(text for text, _ in audit_report.verdict_lines(verdict, live=live)[0])

    assert first(FakeVerdict(closed=True), False) == "✓ INTACT  closed"
    assert first(FakeVerdict(), False) == "✓ INTACT  not closed"
    assert "still writing" in first(FakeVerdict(), True)
    assert first(FakeVerdict(valid=False, error="sequence gap: expected 2, got 3"), False).startswith(
        "✗ TAMPERED  sequence gap"
    )


def test_a_refusal_stands_out_among_the_entries():
    entry = FakeEntry(3, ago(), "policy", {"scope": "network", "decision": "deny", "rule": ""})
    pieces = audit_report.entry_pieces(entry)
    assert pieces[2][1] == "bad"
    assert pieces[3][0] == "scope=network  decision=deny"


def test_finding():
    assert matches("aXaxa", "x") == [(1, 2), (3, 4)]
    assert matches("a.b", ".") == [(1, 2)]
    assert matches("abc", "") == []
    assert next_match(5, 3, 1, lambda place: place == 1) == 1
    assert next_match(5, 1, -1, lambda place: place == 4) == 4
    assert next_match(5, 0, 1, lambda place: False) is None


def test_line_counts_read_only_what_is_new(tmp_path):
    counts = LineCounts()
    path = tmp_path / "network.jsonl"
    assert counts.update({"a": path}) is True
    assert counts.counts() == {"a": 0}
    path.write_bytes(b"1\n2\nhal")
    assert counts.update({"a": path}) is True
    assert counts.counts() == {"a": 2}
    assert counts.update({"a": path}) is False
    with path.open("ab") as file:
        file.write(b"f\n")
    counts.update({"a": path})
    assert counts.counts() == {"a": 3}
    path.write_bytes(b"1\n")
    counts.update({"a": path})
    assert counts.counts() == {"a": 1}
    counts.update({})
    assert counts.counts() == {}


def test_line_counts_keep_to_their_budget(tmp_path):
    counts = LineCounts()
    path = tmp_path / "network.jsonl"
    path.write_bytes(b"1\n" * 2_000_000)
    counts.update({"a": path}, budget=1)
    assert counts.counts() == {}
    while not counts.counts():
        counts.update({"a": path}, budget=1)
    assert counts.counts() == {"a": 2_000_000}


def typed(**given):
    base = {
        "workspace": "",
        "command": "",
        "name": "",
        "grants": (),
        "policy": "configured",
        "sandbox": "configured",
    }
    return build_request(**(base | given))


def test_an_untouched_form_asks_for_what_is_configured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert typed() == RunRequest(workspace=str(tmp_path))


def test_the_form_s_words(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = typed(
        workspace=" ~ ", command="a 'b c'", name=" n ", grants=("g",), policy="strict", sandbox="off"
    )
    assert made == RunRequest(str(tmp_path), ("a", "b c"), "n", ("g",), policy="strict", sandbox=False)


def test_the_form_s_errors_name_their_field(tmp_path):
    file = tmp_path / "f"
    file.touch()
    for given, field in (
        ({"workspace": str(file)}, "workspace"),
        ({"command": "'"}, "command"),
        ({"hosts": "'"}, "hosts"),
    ):
        with pytest.raises(FormError) as caught:
            typed(**given)
        assert caught.value.field == field


def test_an_unticked_grant_of_agent_yaml_is_left_out(tmp_path):
    made = typed(workspace=str(tmp_path), grants=("linear",), asked=("github", "linear"), sandbox="on")
    assert (made.grants, made.without_grants, made.sandbox) == (("linear",), ("github",), True)


def test_variables_take_values_from_the_run_before_and_from_here_and_no_error_repeats_one():
    here = {"HOME": "/h", "KEPT": "here"}
    assert variables("A='b c' KEPT HOME", {"KEPT": "before"}, here) == {
        "A": "b c",
        "KEPT": "before",
        "HOME": "/h",
    }
    for text in ("=hunter2", "A=hunter2 NOWHERE", "'A=hunter2"):
        with pytest.raises(FormError) as caught:
            variables(text, {}, here)
        assert caught.value.field == "variables"
        assert "hunter2" not in str(caught.value)
    assert missing_values(("HOME", "TOKEN"), here) == "Values are not recorded: write NAME=VALUE for TOKEN."
    assert missing_values(("HOME",), here) == ""
