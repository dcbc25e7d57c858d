import click
import pytest

import engine
from moat_tui.cli import errors

SECRET = "ghp_thisMustNeverBeShown00000000000000000"
BUNDLE = ExceptionGroup("g", [ValueError(SECRET), ExceptionGroup("h", [engine.MoatError("inner")])])


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (engine.MoatError("it broke"), 125, ["error: it broke"]),
        (engine.MoatError("a", detail="b", remedy="c"), 125, ["error: a", "b", "c"]),
        (engine.MoatError("a\x1b[2J", remedy="two\nlines"), 125, ["error: a\\x1b[2J", "two lines"]),
        (engine.UsageError("no"), 2, ["error: no"]),
        (click.UsageError("bad"), 2, ["error: bad", "See: moat --help"]),
        (KeyboardInterrupt(), 130, []),
        (BrokenPipeError(), 141, []),
        (BUNDLE, 125, ["error: inner"]),
    ],
)  # fmt: skip
def test_each_error_has_its_lines_and_its_code(error, code, lines, capsys, monkeypatch):
    monkeypatch.setattr(errors, "abandon_stdout", lambda: None)  # pytest still needs it
    assert errors.report(error, "list") == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"moat: {line}" for line in lines]


def test_an_unexpected_error_shows_its_type_and_never_its_text(capsys):
    assert errors.report(RuntimeError(SECRET), "grant") == 125
    err = capsys.readouterr().err
    assert err.startswith("moat: internal error: RuntimeError in grant; ")
    assert len(err.splitlines()) == 1
    assert SECRET not in err


def test_debugging_shows_where_and_still_no_text(capsys, monkeypatch):
    monkeypatch.setenv("MOAT_DEBUG", "1")
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(SECRET)
    assert errors.report(raised.value, "grant") == 125
    err = capsys.readouterr().err
    assert "test_errors.py" in err
    assert SECRET not in err
