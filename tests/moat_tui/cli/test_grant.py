import subprocess
import termios
from types import SimpleNamespace

import msgspec
import pytest

import engine

SECRET = "ghp_R3alT0kenThatMustNeverBeShown0000000000"
GITHUB = engine.ProviderInfo(
    name="github",
    title="GitHub",
    hosts=("api.github.com",),
    header="Authorization",
    sources=("GITHUB_TOKEN", "GH_TOKEN", "gh auth token"),
    env={"GH_TOKEN": "placeholder"},
)

FAKES = f"""
import msgspec
from types import SimpleNamespace
engine.list_providers = lambda home: [
    engine.ProviderInfo(name="github", title="GitHub", hosts=("api.github.com",), header="Authorization")
]
engine.find_token = lambda home, provider, files=True: None
async def validate_token(home, provider, token):
    assert token == {SECRET!r}, "the token came out different"
    return "octocat"
engine.validate_token = validate_token
engine.save_grant = lambda home, provider, token, **more: engine.GrantInfo(provider=provider)
"""


@pytest.fixture
def stored(fake):
    """Everything that reached the store; GITHUB_TOKEN holds a token, the service knows it as octocat's."""
    kept: list[dict] = []

    async def validate(home, provider, token):
        return "octocat"

    def save(home, provider, token, **more):
        kept.append({"provider": provider, "token": token, **more})
        return engine.GrantInfo(provider=provider, account=more["account"], source=more["source"])

    fake("list_providers", lambda home: [GITHUB])
    fake(
        "find_token", lambda home, provider, files=True: SimpleNamespace(value=SECRET, source="GITHUB_TOKEN")
    )
    fake("validate_token", validate)
    fake("save_grant", save)
    return kept


def test_what_was_found_is_checked_stored_and_described(moat, stored, home, capsys):
    assert moat("grant", "github", "--profile", "work") == 0
    assert stored == [
        {
            "provider": "github",
            "token": SECRET,
            "source": "GITHUB_TOKEN",
            "account": "octocat",
            "profile": "work",
        }
    ]
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "github: taken from GITHUB_TOKEN, account octocat",
        f"stored encrypted in {home.credentials}/profiles/work/github.enc",
    ]
    assert SECRET not in out + err


def test_json_is_the_grant_and_nothing_secret(moat, stored, capsys):
    assert moat("grant", "github", "--json") == 0
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out)["account"] == "octocat"
    assert SECRET not in out + err


def test_the_first_use_of_a_key_file_is_said(moat, stored, home, fake, capsys):
    def save(home, provider, token, **more):
        home.write(home.key_file, b"key")
        return engine.GrantInfo(provider=provider)

    fake("save_grant", save)
    assert moat("grant", "github") == 0
    assert f"the encryption key is in {home.key_file}" in capsys.readouterr().err
    assert moat("grant", "github") == 0
    assert "encryption key" not in capsys.readouterr().err


def test_a_refused_credential_is_not_stored(moat, stored, fake, capsys):
    async def validate(home, provider, token):
        raise engine.MoatError("api.github.com does not accept it", remedy="Store it anyway: --no-validate")

    fake("validate_token", validate)
    assert moat("grant", "github") == 125
    assert stored == []
    assert SECRET not in capsys.readouterr().err
    assert moat("grant", "github", "--no-validate") == 0
    assert stored[0]["account"] == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["grant", "github", SECRET],
        ["grant", SECRET],
        ["grant", SECRET, "github"],
        ["grant", "github", f"--token={SECRET}"],
        ["grant", "github", "--token", SECRET],
        ["grant", "github", f"--{SECRET}"],
        ["grant", "github", f"-{SECRET}"],
        ["grant", "github", f"--stdin={SECRET}"],
        ["grant", "show", SECRET],
        ["grant", "show", "github", SECRET],
        ["revoke", SECRET],
        ["revoke", "github", SECRET],
    ],
)
def test_a_credential_as_an_argument_is_refused_and_not_repeated(argv, moat, stored, capsys):
    assert moat(*argv) == 2
    out, err = capsys.readouterr()
    assert SECRET[4:] not in out + err
    assert len(err.splitlines()) <= 3
    assert stored == []


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["grant"], "no provider is named"),
        (["grant", "githib"], "Did you mean 'github'?"),
        (["grant", "nothing-like-it"], "moat grant providers"),
        (["grant", "../x"], "only a provider"),
        (["revoke", "../x"], "only a provider"),
        (["grant", "github", "--no-valdate"], "No such option '--no-valdate'"),
    ],
)
def test_other_usage_errors_stay_helpful(argv, says, moat, stored, capsys):
    assert moat(*argv) == 2
    assert says in capsys.readouterr().err


def test_without_a_terminal_it_says_where_a_credential_could_come_from(moat, stored, fake, capsys):
    fake("find_token", lambda home, provider, files=True: None)
    assert moat("grant", "github") == 125
    err = capsys.readouterr().err
    for way in ("GITHUB_TOKEN", "GH_TOKEN", "gh auth token", "--stdin"):
        assert way in err


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_stdin_loses_its_one_line_end(end, start):
    process = start("grant", "github", "--stdin", prelude=FAKES, stdin=subprocess.PIPE)
    out, err = process.communicate(SECRET.encode() + end, timeout=20)
    assert process.returncode == 0, err
    assert out.startswith(b"github: taken from stdin, account octocat\n")
    assert SECRET.encode() not in out + err


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", b"stdin was empty"),
        (b"\n", b"stdin was empty"),
        (SECRET.encode() + b"\n\n", b"line breaks"),
        (SECRET.encode() + b"\r\nX: y\n", b"line breaks"),
        (b" " + SECRET.encode(), b"spaces at an end"),
        (SECRET.encode() + b"\xff", b"no credential has"),
        (SECRET.encode() * 2000, b"more than 65536 bytes"),
    ],
)
def test_stdin_that_holds_no_credential_is_refused_unseen(data, says, start):
    process = start("grant", "github", "--stdin", prelude=FAKES, stdin=subprocess.PIPE)
    out, err = process.communicate(data, timeout=20)
    assert process.returncode == 2
    assert says in err
    assert SECRET.encode() not in out + err


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_while_handling_a_credential_shows_none_of_it(debug, start, monkeypatch):
    monkeypatch.setenv("MOAT_DEBUG", debug)
    broken = (
        FAKES + "\ndef save(home, provider, token, **more): raise ValueError(token)\nengine.save_grant = save"
    )
    process = start("grant", "github", "--stdin", prelude=broken, stdin=subprocess.PIPE)
    out, err = process.communicate(SECRET.encode(), timeout=20)
    assert process.returncode == 125
    assert b"internal error: ValueError in grant" in err
    assert SECRET.encode() not in out + err


def test_the_prompt_hides_what_is_typed(terminal):
    tty = terminal("grant", "github", prelude=FAKES)
    tty.until(b"credential (not shown): ")
    tty.type(SECRET.encode() + b"\n")
    assert tty.end() == 0
    assert b"taken from prompt, account octocat" in tty.seen
    assert SECRET.encode() not in tty.seen


def test_a_prompt_that_is_left_stores_nothing(terminal):
    tty = terminal("grant", "github", prelude=FAKES)
    tty.until(b"credential (not shown): ")
    tty.type(b"\x04")
    assert tty.end() == 125
    assert b"nothing was typed" in tty.seen
    assert b"stored" not in tty.seen


def test_an_interrupted_prompt_ends_as_interrupted(terminal):
    tty = terminal("grant", "github", prelude=FAKES)
    tty.until(b"credential (not shown): ")
    tty.type(b"\x03")
    assert tty.end(again=b"\x03") == 130
    assert b"Traceback" not in tty.seen
    assert tty.seen.endswith(b"\n")  # the shell's prompt gets a line of its own


def test_a_prompt_that_is_quit_leaves_the_terminal_echoing(terminal):
    tty = terminal("grant", "github", prelude=FAKES)
    tty.until(b"credential (not shown): ")
    assert not termios.tcgetattr(tty.fd)[3] & termios.ECHO
    tty.type(b"\x1c")
    assert tty.end(again=b"\x1c") == 130
    assert termios.tcgetattr(tty.fd)[3] & termios.ECHO


GRANT = engine.GrantInfo(
    provider="github",
    title="GitHub",
    hosts=("api.github.com", "github.com"),
    source="prompt",
    account="octo\x1b[2Jcat",
    env={"GH_TOKEN": "placeholder"},
    created_at="2026-01-12T10:00:00Z",
    last_used_at="2026-01-12T10:00:00Z",
    last_used_run="run_bbbbbbbbbbbb",
)


def test_list_and_show_describe_what_is_stored(moat, fake, home, capsys):
    profiles = []

    def list_grants(home, profile=""):
        profiles.append(profile)
        return [
            GRANT,
            engine.GrantInfo(provider="old", state=engine.GrantState.UNREADABLE, problem="old.enc is cut"),
        ]

    fake("list_grants", list_grants)
    assert moat("grant", "list") == 0
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split()[:4] == ["PROVIDER", "PROFILE", "STATE", "ACCOUNT"]
    assert "octo\\x1b[2Jcat" in first
    assert "ago by run_bbbbbbbbbbbb" in first
    assert second.startswith("old ")
    assert second.endswith("old.enc is cut")

    assert moat("grant", "list", "--all", "--json") == 0
    assert [each["provider"] for each in msgspec.json.decode(capsys.readouterr().out)] == ["github", "old"]

    assert moat("grant", "show", "github", "--profile", "work") == 0
    out = capsys.readouterr().out
    assert "account    octo\\x1b[2Jcat\n" in out
    assert "in a run   GH_TOKEN=placeholder\n" in out
    assert f"file       {home.credentials}/github.enc\n" in out

    assert moat("grant", "show", "github", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)["hosts"] == ["api.github.com", "github.com"]
    assert profiles == ["", None, "work", ""]

    assert moat("grant", "show", "openai") == 125
    assert "no credential for openai is stored" in capsys.readouterr().err


def test_nothing_stored_is_a_hint(moat, fake, capsys):
    fake("list_grants", lambda home, profile="": [])
    assert moat("grant", "list") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "moat grant github" in err


def test_providers(moat, stored, capsys):
    assert moat("grant", "providers") == 0
    assert (
        "github    built in  GITHUB_TOKEN, GH_TOKEN, gh auth token  api.github.com  GitHub\n"
        in capsys.readouterr().out
    )
    assert moat("grant", "providers", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out)[0]["header"] == "Authorization"


def test_revoke(moat, fake, capsys):
    gone = []
    fake(
        "revoke_grant",
        lambda home, provider, profile="": gone.append((provider, profile)) or provider == "github",
    )
    assert moat("revoke", "github") == 0
    assert "removed" in capsys.readouterr().out
    assert moat("revoke", "github", "--profile", "work", "--json") == 0
    assert msgspec.json.decode(capsys.readouterr().out) == {
        "provider": "github",
        "profile": "work",
        "revoked": True,
    }
    assert moat("revoke", "openai") == 125
    assert "no credential for openai is stored" in capsys.readouterr().err
    assert gone == [("github", ""), ("github", "work"), ("openai", "")]


def test_revoke_names_the_live_runs_that_still_have_it(moat, fake, put_run, capsys):
    fake("revoke_grant", lambda home, provider, profile="": True)
    put_run("run_aaaaaaaaaaaa", name="old", grants=("github",))
    put_run("run_bbbbbbbbbbbb", name="live", state=engine.RunState.RUNNING, grants=("github",))
    put_run("run_cccccccccccc", name="other", state=engine.RunState.RUNNING, grants=("openai",))
    put_run(
        "run_dddddddddddd", name="work", state=engine.RunState.RUNNING, grants=("github",), profile="work"
    )
    assert moat("revoke", "github") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "until it ends" in line]
    assert told == ["moat: live has it until it ends: moat stop run_bbbbbbbbbbbb"]


def test_a_credential_where_a_provider_belongs_is_never_repeated(moat, capsys):
    assert moat("run", "-g", SECRET, "--", "true") == 2
    assert moat("grant", "github", f"--token={SECRET}") == 2
    assert moat("grant", "github", "--token", SECRET) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert "-g takes the name of a provider, never a credential's value" in err
    assert err.count("--stdin reads it from a pipe") == 2


@pytest.mark.parametrize(
    "words",
    [
        ["aws"],
        ["aws", "--role", "agent"],
        ["aws", "--role", "arn:aws:iam::123456789012:role/agent", "--session-duration", "1d"],
        ["aws", "--role", "arn:aws:iam::123456789012:role/agent", "--policy", "/nonexistent"],
        ["aws", "--role", "arn:aws:iam::123456789012:role/agent", SECRET],
    ],
)
def test_a_role_that_cannot_be_is_a_usage_error(moat, words, capsys):
    assert moat("grant", *words) == 2
    said = capsys.readouterr().err
    assert 1 <= len(said.splitlines()) <= 3
    assert SECRET not in said
