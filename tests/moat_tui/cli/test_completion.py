"""What Tab offers: the answers of `_MOAT_COMPLETE`, asked as bash asks."""

import pytest

EARLIER = "run_aaaaaaaaaaaa"


@pytest.fixture
def offered(moat, monkeypatch, capsys):
    def ask(*words):
        monkeypatch.setenv("_MOAT_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("moat", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        moat()
        out, err = capsys.readouterr()
        assert err == ""
        return [line.partition(",")[2] for line in out.splitlines()]

    return ask


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["l"], ["list", "logs"]),
        (["run", "--po"], ["--policy"]),
        (["run", "--policy", "s"], ["strict"]),
        (["run", "-g", "gi"], ["github", "github:ro", "gitlab"]),
        (["grant", "gi"], ["github", "gitlab"]),
        (["revoke", "open"], ["openai"]),
        (["bogus", "x"], []),
    ],
)
def test_words(offered, words, answers):
    assert offered(*words) == answers


@pytest.mark.parametrize("command", ["logs", "trace", "audit", "stop", "destroy"])
def test_runs(offered, put_run, command):
    put_run(EARLIER, name="odd-ibex")
    assert offered(command, "od") == ["odd-ibex"]
    assert offered(command, "run_") == [EARLIER]


def test_the_shells_side_of_it(moat, monkeypatch, capsys):
    monkeypatch.setenv("_MOAT_COMPLETE", "bash_source")
    assert moat() == 0
    assert "complete -o nosort -F _moat_completion moat" in capsys.readouterr().out


def test_a_home_that_cannot_be_used_offers_nothing(offered, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "file"))
    assert offered("logs", "x") == []
