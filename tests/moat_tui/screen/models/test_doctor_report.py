"""The doctor's findings in words."""

from __future__ import annotations

from engine import CheckResult, CheckState
from moat_tui.screen.models.doctor_report import can_fix, check_lines, head_note, summary

OK = CheckResult("python", "Python", CheckState.OK, "3.13.1")
WARN = CheckResult("clock", "Clock", CheckState.WARN, "2 s off", "Set the clock.", needed=False)
FAIL = CheckResult(
    "docker", "Docker engine", CheckState.FAIL, "no \x1b[2J engine", "Start it.\nOr: now", fixable=True
)


def text(pieces) -> str:
    return "".join(part for part, _ in pieces)


def test_each_check_has_its_line_and_its_remedy():
    assert [text(line) for line in check_lines([OK, WARN, FAIL])] == [
        "✓ ok    Python         3.13.1",
        "! warn  Clock          2 s off",
        "        Remedy: Set the clock.",
        "✗ FAIL  Docker engine  no ␛[2J engine",
        "        F does this: Start it.",
        "        Or: now",
    ]


def test_the_whole_in_one_line():
    assert text(summary([OK])) == "✓ ready   all is well"
    assert text(summary([OK, WARN])) == "✓ ready   1 thing to look at"
    assert text(summary([OK, WARN, FAIL])) == "✗ not ready: Docker engine"
    assert head_note([OK]) == ""
    assert head_note([WARN, FAIL]) == "! doctor: 2 checks to look at (D)"
    assert can_fix([OK, WARN, FAIL])
    assert not can_fix([OK, WARN])


def test_a_long_message_goes_on_below_itself():
    results = [CheckResult("python", "Python", CheckState.OK, "Python 3.13.0 in /a/very/long/path/of/it")]
    lines = ["".join(text for text, _ in line) for line in check_lines(results, 40)]
    assert lines == ["✓ ok    Python  Python 3.13.0 in", " " * 16 + "/a/very/long/path/of/it"]
