"""The first start's lines, the terminal's title, and who uses a grant."""

from __future__ import annotations

from support.screen_home import NOW, ago

from engine import GrantInfo, GrantState, GrantUse, RunInfo, RunState
from moat_tui.screen.models.grant_rows import by_profile, grant_report, live_users, uses_by_run
from moat_tui.screen.models.welcome import terminal_title, welcome_lines

RUNS = [
    RunInfo("run_3", "live", ago(minutes=1), RunState.RUNNING, grants=("github",)),
    RunInfo("run_2", "idle", ago(minutes=2), RunState.EXITED, grants=("github", "openai")),
    RunInfo("run_1", "old", ago(minutes=3), RunState.EXITED, grants=("github",)),
    RunInfo("run_0", "other", ago(minutes=4), RunState.RUNNING, grants=("github",), profile="work"),
]
USES = {"run_3": {"github": GrantUse(ago(), 4)}, "run_1": {"github": GrantUse(ago(), 2)}}


def test_uses_are_told_by_run_oldest_first():
    assert uses_by_run(GrantInfo("github"), RUNS, USES) == [2, 0, 4]
    assert uses_by_run(GrantInfo("github", "work"), RUNS, USES) == [0]
    assert [run.name for run in live_users(GrantInfo("github"), RUNS)] == ["live"]
    assert [run.name for run in live_users(GrantInfo("github", "work"), RUNS)] == ["other"]


def test_the_report_tells_uses_and_users():
    lines = grant_report(GrantInfo("github"), {}, NOW, [2, 0, 4], RUNS[:1])
    text = "\n".join("".join(part for part, _ in line) for line in lines)
    assert "▄·█  6 in the last 3 runs that had it" in text
    assert "● live" in text
    assert "no live run" in "".join(
        part for line in grant_report(GrantInfo("x"), {}, NOW) for part, _ in line
    )


def test_the_report_tells_what_a_run_was_narrowed_to():
    narrow = RunInfo("run_4", "reader", ago(), RunState.RUNNING, grants=("github:ro;max_requests=9",))
    grant = GrantInfo("github", scopes=("ro",))
    assert live_users(grant, [narrow]) == [narrow]
    text = "\n".join("".join(p for p, _ in line) for line in grant_report(grant, {}, NOW, users=[narrow]))
    assert "● reader (github:ro;max_requests=9)" in text
    assert "github:ro" in text


def test_grants_by_profile():
    grants = [GrantInfo("openai", state=GrantState.REFUSED), GrantInfo("aws", "work")]
    grants.append(GrantInfo("github", scopes=("ro",)))
    assert by_profile(grants) == {
        "": {"github": "✓ valid", "github:ro": "✓ valid", "openai": "✗ refused"},
        "work": {"aws": "✓ valid"},
    }


def test_the_title_holds_numbers_only():
    assert terminal_title(0) == "Moat"
    assert terminal_title(2, 1) == "Moat · 2 live · 1 waiting"


def test_the_first_steps_are_not_offered_where_they_cannot_be_done():
    def text(**given):
        return "\n".join("".join(part for part, _ in line) for line in welcome_lines(**given))

    assert "add a grant" in text()
    assert "start a run" in text()
    assert "add a grant" not in text(read_only=True)
    assert max(map(len, text().split("\n"))) <= 76
