import signal

import msgspec
import pytest

import engine
from engine import LogLine, RequestRecord, RunInfo, RunState
from engine.run.metadata import SupervisorLock
from moat_tui.cli import output

LATER, EARLIER = "run_bbbbbbbbbbbb", "run_aaaaaaaaaaaa"
HOSTILE = "\x1b]0;owned\x07"


def request(path: str = "/user", **fields: object) -> RequestRecord:
    base = {"id": "1", "ts": "2026-01-12T10:00:00Z", "method": "GET", "host": "api.github.com"}
    return RequestRecord(url=f"https://api.github.com{path}", **{**base, **fields})


def lines(*texts: str) -> tuple[LogLine, ...]:
    return tuple(LogLine(ts="2026-01-12T10:00:00Z", line=text) for text in texts)


def test_no_runs_is_a_hint_not_an_error(moat, capsys):
    assert moat("list") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no runs yet" in err


def test_list_is_aligned_newest_first_and_harmless(moat, put_run, capsys):
    put_run(EARLIER, name="old", created_at="2026-01-11T10:00:00Z", state=RunState.FAILED, exit_code=None)
    put_run(LATER, command=("sh", "-c", HOSTILE), grants=("github", "openai"), sandbox="gvisor", exit_code=3)
    assert moat("list") == 0
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split() == ["NAME", "ID", "STATE", "EXIT", "RUNTIME", "AGE", "GRANTS", "COMMAND"]
    assert first.split()[:5] == ["swift-otter", LATER, "exited", "3", "docker/gvisor"]
    assert first.endswith("github,openai  sh -c \\x1b]0;owned\\x07")
    assert second.split()[:4] == ["old", EARLIER, "failed", "-"]
    assert title.index("STATE") == first.index("exited") == second.index("failed")


def test_a_long_command_is_cut_in_the_list(moat, put_run, capsys):
    put_run(LATER, command=("x" * 500,))
    assert moat("list") == 0
    assert capsys.readouterr().out.endswith("  " + "x" * 59 + "…\n")


def test_where_a_live_runs_ports_are_is_in_the_list(moat, put_run, capsys, fake):
    async def reap(home):
        return []

    fake("reap", reap)
    ports = (
        engine.PublishedPort("web", 3000, "127.0.0.1:49152"),
        engine.PublishedPort("api", 80, "127.0.0.1:80"),
    )
    put_run(EARLIER, ports=ports)
    put_run(LATER, state=RunState.RUNNING, ports=ports, frozen="a decoy was about to leave")
    assert moat("list") == 0
    assert "PORTS" not in capsys.readouterr().out  # one has ended, the other carries nothing any more
    put_run(LATER, state=RunState.RUNNING, ports=ports)
    assert moat("list") == 0
    title, live, ended = capsys.readouterr().out.splitlines()
    place = title.index("PORTS")
    assert live[place:].startswith("web:49152,api:80")
    assert ended[place:].startswith("-")
    assert moat("list", "--json") == 0
    shown = msgspec.json.decode(capsys.readouterr().out)[0]["ports"]
    assert shown[0] == {"name": "web", "port": 3000, "address": "127.0.0.1:49152"}


def test_list_as_json_is_an_array_with_every_field(moat, put_run, capsys):
    put_run(LATER)
    assert moat("list", "--json") == 0
    (run,) = msgspec.json.decode(capsys.readouterr().out)
    assert run["id"] == LATER
    assert run["state"] == "exited"
    assert run["grants"] == []
    assert run["error"] == ""


def test_a_damaged_run_is_listed_with_its_reason(moat, put_run, home, capsys):
    put_run(LATER)
    home.write(home.run(LATER) / "metadata.json", b"{")
    assert moat("list") == 0
    title, row = capsys.readouterr().out.splitlines()
    assert title.endswith("PROBLEM")
    assert "failed" in row
    assert "cannot be read" in row


def test_a_frozen_run_stands_out(moat, put_run, home, capsys):
    why = "the decoy ~/.env was about to leave, at 2026-01-12T10:00:00Z"
    put_run(LATER, state=RunState.RUNNING, exit_code=None, frozen=why)
    put_run(EARLIER, name="old", created_at="2026-01-11T10:00:00Z", frozen=why)
    alive = SupervisorLock(home, LATER)
    assert moat("list") == 0
    title, live, ended = capsys.readouterr().out.splitlines()
    assert title.endswith("PROBLEM")
    assert " running, frozen " in live
    assert " exited " in ended
    assert live.endswith(f"network frozen: {why}")
    assert ended.endswith(f"network frozen: {why}")
    assert moat("list", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)[0]["frozen"] == why
    alive.release()


@pytest.mark.parametrize("ref", ["", LATER, "run_b", "bb", "swift-otter"])
def test_a_run_answers_to_its_id_a_prefix_its_name_and_to_nothing(ref, moat, put_run, capsys):
    put_run(EARLIER, name="old", created_at="2026-01-11T10:00:00Z", logs=lines("old"))
    put_run(LATER, logs=lines("new"))
    assert moat("logs", *([ref] if ref else [])) == 0
    assert capsys.readouterr().out == "new\n"


def test_no_such_run(moat, put_run, capsys):
    put_run(LATER)
    assert moat("logs", "nope") == 125
    assert capsys.readouterr().err.splitlines()[0] == "moat: error: no run is called 'nope'"


def test_logs_into_a_file_are_as_stored(moat, put_run, capsys):
    put_run(logs=lines("a", HOSTILE, "", "naïve"))
    assert moat("logs") == 0
    assert capsys.readouterr().out == f"a\n{HOSTILE}\n\nnaïve\n"


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (2, "b\nc\n"), (9, "a\nb\nc\n")])
def test_the_last_lines(count, expected, moat, put_run, capsys):
    put_run(logs=lines("a", "b", "c"))
    assert moat("logs", "-n", str(count)) == 0
    assert capsys.readouterr().out == expected


def test_logs_as_json_lines(moat, put_run, capsys):
    put_run(logs=(LogLine(ts="2026-01-12T10:00:00Z", line="x\x9b", stream="stderr"),))
    assert moat("logs", "--json") == 0
    assert capsys.readouterr().out == '{"ts":"2026-01-12T10:00:00Z","line":"x\\u009b","stream":"stderr"}\n'


def test_damaged_log_lines_are_counted(moat, put_run, home, capsys):
    put_run(logs=lines("a"))
    with (home.run(LATER) / "logs.jsonl").open("ab") as file:
        file.write(b"{not json\n")
    assert moat("logs") == 0
    out, err = capsys.readouterr()
    assert out == "a\n"
    assert "1 damaged line" in err


def test_trace_is_one_harmless_line_a_request(moat, put_run, capsys):
    put_run(
        requests=(
            request(status_code=200, duration_ms=12, grant="github"),
            request(f"/{HOSTILE}", decision="denied", rule="strict", error="not an allowed host"),
        )
    )
    assert moat("trace", "--network") == 0
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split() == ["TIME", "METHOD", "HOST", "PATH", "STATUS", "MS", "GRANT", "DECISION"]
    assert first.split()[1:] == ["GET", "api.github.com", "/user", "200", "12", "github", "allowed"]
    assert "/\\x1b]0;owned\\x07" in second
    assert second.endswith("  denied: not an allowed host")


def test_trace_as_json_holds_the_whole_record(moat, put_run, capsys):
    put_run(requests=(request(status_code=200), request(method="POST")))
    assert moat("trace", "-n", "1", "--json") == 0
    record = msgspec.json.decode(capsys.readouterr().out)
    assert record["method"] == "POST"
    assert set(record) == set(RequestRecord.__struct_fields__)


LIVE = "async def reap(home): return []\nengine.reap = reap"


def test_following_ends_when_the_run_does(start, put_run, home):
    put_run(LATER, state=RunState.RUNNING, exit_code=None, logs=lines("before", "one"))
    process = start("logs", "-f", "-n", "1", prelude=LIVE)
    assert process.stdout.readline() == b"one\n"
    with (home.run(LATER) / "logs.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(lines("two")[0]) + b"\n")
    assert process.stdout.readline() == b"two\n"
    assert process.poll() is None
    with (home.run(LATER) / "logs.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(lines("three")[0]) + b"\n")
    put_state(home, RunState.EXITED)
    assert process.communicate(timeout=20) == (b"three\n", b"")
    assert process.returncode == 0


def put_state(home, state: RunState) -> None:
    path = home.run(LATER) / "metadata.json"
    info = msgspec.json.decode(home.read(path), type=RunInfo)
    home.write(path, msgspec.json.encode(msgspec.structs.replace(info, state=state)))


def test_following_is_interrupted_without_a_word(start, put_run):
    put_run(LATER, state=RunState.RUNNING, exit_code=None, logs=lines("one"))
    process = start("logs", "-f", prelude=LIVE)
    assert process.stdout.readline() == b"one\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130


def test_what_a_dead_run_left_is_reaped_first(moat, put_run, fake, capsys):
    put_run(LATER, state=RunState.RUNNING)

    async def reap(home):
        return [put_run(LATER, state=RunState.INTERRUPTED)]

    fake("reap", reap)
    assert moat("list") == 0
    out, err = capsys.readouterr()
    assert "interrupted" in out
    assert "had been interrupted" in err


def test_ended_runs_are_not_reaped(moat, put_run, fake):
    put_run(LATER)
    fake("reap", None)
    assert moat("list") == 0


def test_a_reaper_that_fails_does_not_hide_the_logs(moat, put_run, fake, capsys):
    put_run(LATER, state=RunState.RUNNING, logs=lines("a"))

    async def reap(home):
        raise engine.MoatError("Docker does not answer")

    fake("reap", reap)
    assert moat("logs") == 0
    out, err = capsys.readouterr()
    assert out == "a\n"
    assert "Docker does not answer" in err


def test_on_a_terminal_the_list_fits_and_says_below_why_runs_failed(moat, put_run, monkeypatch, capsys):
    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    put_run(LATER, command=("sh", "-c", "x" * 200))
    put_run(EARLIER, name="odd-ibex", state=engine.RunState.FAILED, exit_code=None, error="no image " * 20)
    assert moat("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["NAME", "ID", "STATE", "EXIT", "AGE", "GRANTS", "COMMAND"]
    assert lines[-1].startswith("odd-ibex: no image no image")
    assert lines[-1].endswith("…")


def test_on_a_wide_terminal_the_list_has_the_runtime(moat, put_run, monkeypatch, capsys):
    monkeypatch.setattr(output, "terminal_width", lambda: 120)
    put_run(LATER, runtime="docker", sandbox="gvisor")
    assert moat("list") == 0
    assert "docker/gvisor" in capsys.readouterr().out
