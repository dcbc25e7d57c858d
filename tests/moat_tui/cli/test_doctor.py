import platform
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
import pytest


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    name: str
    title: str
    state: State
    message: str
    remedy: str = ""
    fixable: bool = False
    needed: bool = True


OK = Check("python", "Python", State.OK, "3.13")
WARN = Check("keychain", "Keychain", State.WARN, "none here", "a file is used", needed=False)
FAIL = Check(
    "docker",
    "Docker engine",
    State.FAIL,
    "not running\x1b[2J",
    "apt-get install docker.io\ndockerd &",
    fixable=True,
)


@pytest.fixture
def checks(fake):
    def results(*found):
        async def run_checks(home):
            return list(found)

        fake("run_checks", run_checks)

    return results


def test_a_line_for_each_check_and_the_remedy_below(moat, checks, capsys):
    checks(OK, WARN, FAIL)
    assert moat("doctor") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "ok    Python         3.13",
        "warn  Keychain       none here",
        "      a file is used",
        "FAIL  Docker engine  not running\\x1b[2J",
        "      apt-get install docker.io",
        "      dockerd &",
    ]
    assert "moat doctor --fix" in err


def test_what_is_not_needed_may_be_missing(moat, checks):
    checks(OK, WARN, Check("gvisor", "gVisor", State.FAIL, "absent", needed=False))
    assert moat("doctor") == 0


def test_json(moat, checks, capsys):
    checks(OK, FAIL)
    assert moat("doctor", "--json") == 1
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["checks"][0] == {
        "name": "python", "title": "Python", "state": "ok", "message": "3.13",
        "remedy": "", "fixable": False, "needed": True,
    }  # fmt: skip


def test_fix_tells_what_it_does_on_stderr(moat, fake, capsys):
    async def fix_machine(home, say):
        say("installing docker.io")
        return [OK]

    fake("fix_machine", fix_machine)
    assert moat("doctor", "--fix", "--json") == 0
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out)["ok"] is True
    assert err == "moat: installing docker.io\n"


def test_version(moat, capsys):
    assert moat("version") == 0
    assert capsys.readouterr().out.startswith("moat ")
    assert moat("version", "--json") == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["python"] == platform.python_version()
    assert set(found) == {"moat", "python"}


def test_no_fix_is_promised_where_none_can_be_done(moat, checks, capsys):
    checks(OK, replace(FAIL, fixable=False))
    assert moat("doctor") == 1
    assert "--fix" not in capsys.readouterr().err
