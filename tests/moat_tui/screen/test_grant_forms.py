"""Granting AWS roles and SSH hosts on the screen, as the command line does; providers of one's own."""

from __future__ import annotations

import asyncio
import re

import pytest
from support.screen_home import HOST_KEY, PROVIDERS, SSH_KEYS, FakeToken
from support.waiting import screen_text, wait_for
from textual.widgets import Input, Select

from engine import GrantInfo, MoatError, ProviderInfo
from moat_tui.screen.dialogs.add_grant import AddGrantDialog
from moat_tui.screen.handover import Ended
from moat_tui.screen.main_screen import MainScreen

ARN = "arn:aws:iam::123456789012:role/agent"
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)])
NO_AGENT = MoatError("there is no SSH agent here", remedy="Start one and add your key")


def said(pilot) -> str:
    """What the dialog says, without its frame and its folds."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", screen_text(pilot)).split())


async def sees(pilot, *texts: str) -> None:
    await wait_for(pilot, lambda: all(text in said(pilot) for text in texts))


async def choose(pilot, name: str, title: str) -> AddGrantDialog:
    await pilot.press("a")
    await sees(pilot, "openai")
    await pilot.press(*name, "enter")
    await sees(pilot, f"Add a grant: {title}")
    return pilot.app.screen


def fill(pilot, **fields: str) -> None:
    for field, value in fields.items():
        pilot.app.screen.query_one(f"#{field.replace('_', '-')}", Input).value = value


def buttons_in_sight(pilot) -> bool:
    lines = screen_text(pilot).splitlines()
    return any("(esc)" in line and "(^s)" in line for line in lines[:-1])


@SIZES
async def test_a_role_is_granted_with_all_that_narrows_it(screen, face, tmp_path, size):
    (tmp_path / "narrow.json").write_text('{"Statement": []}')
    async with screen(size) as pilot:
        await choose(pilot, "aws", "AWS role")
        assert pilot.app.focused.id == "role"
        fill(pilot, role=ARN, region="eu-west-1", session_duration="1h30m", external_id="team-7")
        fill(pilot, aws_profile="dev", policy=str(tmp_path / "narrow.json"), profile="review")
        await pilot.press("enter")
        await sees(pilot, "aws (review) is granted")
        ((role,),) = face.called("assume")
        assert face.called("save_role") == [(role, "review")]
        assert (role.arn, role.region, role.session_duration) == (ARN, "eu-west-1", 5400)
        assert (role.external_id, role.profile, role.policy) == ("team-7", "dev", '{"Statement":[]}')


@SIZES
async def test_each_mistake_stands_beside_its_field_and_nothing_is_lost(screen, face, tmp_path, size):
    good = {"region": "", "session_duration": "", "external_id": "", "policy": "", "profile": ""}
    mistakes = {
        "region": ("mars", "not the name of an AWS region"),
        "session-duration": ("1d", "not a duration that AWS gives sessions for"),
        "external-id": ("!", "not an external ID"),
        "policy": (str(tmp_path / "none.json"), "cannot be read"),
        "profile": ("a b", "not a profile name"),
    }
    async with screen(size) as pilot:
        await choose(pilot, "aws", "AWS role")
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ not the ARN of a role")
        assert pilot.app.focused.id == "role"
        fill(pilot, role=ARN)
        for field, (text, message) in mistakes.items():
            fill(pilot, **good)
            fill(pilot, **{field: text})
            await pilot.press("ctrl+s")
            await sees(pilot, message)
            assert pilot.app.focused.id == field
            assert buttons_in_sight(pilot)
            assert pilot.app.screen.query_one(f"#{field}", Input).value == text
        assert face.called("assume") == face.called("save_role") == []
        fill(pilot, **good)
        await wait_for(pilot, lambda: "✗" not in said(pilot).partition("Add a grant")[2])


async def test_sts_is_asked_in_the_background_and_escape_gives_up(screen, face):
    face.gate["assume"] = asyncio.Event()
    async with screen((80, 24)) as pilot:
        await choose(pilot, "aws", "AWS role")
        fill(pilot, role=ARN)
        await pilot.press("ctrl+s")
        await sees(pilot, "Assuming the role once")
        await pilot.press("escape")
        await sees(pilot, "Not saved.")
        face.gate.clear()
        face.errors["assume"] = [MoatError("AWS refused a session of the role", remedy="It must trust you.")]
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ AWS refused a session of the role It must trust you.")
        assert buttons_in_sight(pilot)
        assert pilot.app.screen.query_one("#role", Input).value == ARN
        await pilot.press("ctrl+o", "ctrl+s")
        await sees(pilot, "aws is granted")
        assert len(face.called("assume")) == 2


@pytest.mark.parametrize("keep", [True, False])
async def test_a_role_is_replaced_with_what_was_stored_in_the_fields(screen, face, keep):
    settings = {"region": "eu-west-1", "session_duration": "3600s", "policy": '{"Statement":[]}'}
    face.stored = [GrantInfo("aws", "work", account=ARN, settings=settings)]
    async with screen((80, 24)) as pilot:
        await sees(pilot, "1 grant")
        await pilot.press("3", "r")
        await sees(pilot, "Replace a grant: AWS role", "Keep the session policy")
        dialog = pilot.app.screen
        assert dialog.query_one("#profile", Input).disabled
        if not keep:
            dialog.query_one("#keep-policy").toggle()
        fill(pilot, role=ARN.replace("agent", "other"))
        await pilot.press("ctrl+s")
        await sees(pilot, "aws (work) is granted")
        ((role, profile),) = face.called("save_role")
        assert (role.arn[-5:], role.region, role.session_duration) == ("other", "eu-west-1", 3600)
        assert (role.policy, profile) == (settings["policy"] if keep else "", "work")


@SIZES
async def test_a_known_host_is_granted_with_the_chosen_key(screen, face, size):
    async with screen(size) as pilot:
        dialog = await choose(pilot, "ssh", "SSH host")
        await sees(pilot, "Your SSH agent holds 2 keys.")
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ Name the server")
        fill(pilot, host="git.test")
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ Your SSH agent holds 2 keys: choose one.")
        assert pilot.app.focused.id == "key"
        await pilot.press("enter", "down", "down", "enter")
        await sees(pilot, SSH_KEYS[1].fingerprint)
        assert dialog.query_one("#key", Select).value == SSH_KEYS[1].fingerprint
        await pilot.press("ctrl+s")
        await sees(pilot, "ssh:git.test is granted")
        assert face.called("save_ssh") == [("git.test", SSH_KEYS[1].fingerprint, "")]


@SIZES
@pytest.mark.parametrize("answer", ["y", "n"])
async def test_an_unknown_server_is_put_to_the_person(screen, face, size, answer):
    face.keys, face.pinned = SSH_KEYS[:1], False
    async with screen(size) as pilot:
        await choose(pilot, "ssh", "SSH host")
        await sees(pilot, SSH_KEYS[0].fingerprint)
        fill(pilot, host="git.test")
        await pilot.press("enter")
        await sees(pilot, "is not in your known_hosts", HOST_KEY.fingerprint, "Is that what its owner says?")
        assert pilot.app.focused.id == "no"
        await pilot.press(answer)
        if answer == "y":
            await sees(pilot, "ssh:git.test is granted")
        else:
            await sees(pilot, "✗ Nothing was granted: the server's keys were not agreed to.")
            assert pilot.app.screen.query_one("#host", Input).value == "git.test"
        assert len(face.called("save_ssh")) == (answer == "y")


async def test_without_an_agent_the_form_says_what_to_do_and_looks_again(screen, face):
    face.errors["ssh_keys"] = [NO_AGENT, NO_AGENT]
    face.keys = SSH_KEYS[:1]
    async with screen((80, 24)) as pilot:
        await choose(pilot, "ssh", "SSH host")
        await sees(pilot, "✗ there is no SSH agent here. Start one and add your key. Save looks again.")
        fill(pilot, host="git.test")
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: pilot.app.focused.id == "key")
        assert len(face.called("ssh_keys")) == 2
        await pilot.press("ctrl+s")
        await sees(pilot, "ssh:git.test is granted")


async def test_a_host_that_does_not_answer_can_be_given_up_and_named_again(screen, face):
    face.gate["find_ssh"] = asyncio.Event()
    face.keys = SSH_KEYS[:1]
    async with screen((80, 24)) as pilot:
        await choose(pilot, "ssh", "SSH host")
        await sees(pilot, SSH_KEYS[0].fingerprint)
        fill(pilot, host="nowhere.test")
        await pilot.press("ctrl+s")
        await sees(pilot, "Looking for the host keys of nowhere.test")
        await pilot.press("escape")
        await sees(pilot, "Not saved.")
        face.gate.clear()
        face.errors["find_ssh"] = [MoatError("no SSH server answered at nowhere.test, port 22")]
        await pilot.press("ctrl+s")
        await sees(pilot, "✗ no SSH server answered at nowhere.test, port 22")
        assert pilot.app.focused.id == "host"


async def test_another_key_for_a_host_and_its_revocation(screen, face):
    settings = {"port": "2222", "host_keys": f"ssh-ed25519 {HOST_KEY.fingerprint}"}
    face.stored = [GrantInfo("ssh:git.test", account=SSH_KEYS[0].fingerprint, settings=settings)]
    async with screen((80, 24)) as pilot:
        await sees(pilot, "1 grant")
        await pilot.press("3", "r")
        await sees(pilot, "Replace a grant: SSH host", "git.test:2222", SSH_KEYS[0].fingerprint)
        await wait_for(pilot, lambda: pilot.app.focused.id == "key")
        pilot.app.screen.query_one("#key", Select).value = SSH_KEYS[1].fingerprint
        await pilot.press("ctrl+s")
        await sees(pilot, "ssh:git.test is granted")
        assert face.called("find_ssh") == [("git.test:2222",)]
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await pilot.press("3", "d")
        await sees(pilot, "Revoke ssh:git.test?")
        await pilot.press("y")
        await wait_for(pilot, lambda: face.called("revoke") == [("ssh:git.test", "")])


async def test_a_bad_provider_file_is_named_and_the_others_can_be_granted(screen, face):
    face.left_out = [MoatError(f"/h/providers/{name}.yaml:3: unknown key [b]x[/b]") for name in "abc"]
    async with screen((80, 24)) as pilot:
        await pilot.press("a")
        await sees(pilot, "left out: /h/providers/a.yaml:3: unknown key [b]x[/b]", "! and 1 more")
        await pilot.press(*"git", "enter")
        await sees(pilot, "Add a grant: GitHub")


class Terminal:
    """Stands for the real one: what was run on it is kept, and the tool leaves a token behind."""

    def __init__(self, face) -> None:
        self.face = face
        self.ran: list[list[str]] = []

    def possible(self, app) -> bool:
        return True

    async def give(self, app, command, environment, heading):
        self.ran.append(command)
        self.face.tokens["claude"] = FakeToken("made-by-the-tool", "~/.claude")
        return Ended(0, "")


async def test_the_service_s_own_tool_can_be_run_to_make_a_value(screen, face, monkeypatch):
    claude = ProviderInfo(
        "claude", "Claude", ("api.anthropic.com",), "Authorization", setup=("true", "setup")
    )
    monkeypatch.setattr("support.screen_home.PROVIDERS", (claude, *PROVIDERS))
    async with screen((80, 24)) as pilot:
        terminal = pilot.app.handover = Terminal(face)
        await choose(pilot, "claude", "Claude")
        await sees(pilot, "Run true setup (^r)", "^r Run its tool", "Paste the value here.")
        await pilot.press("ctrl+r")
        await sees(pilot, "✓ Found in ~/.claude")
        assert terminal.ran[0][-2:] == ["true", "setup"]
        await wait_for(pilot, lambda: pilot.app.focused.id == "value")
        await pilot.press("enter")
        await sees(pilot, "claude is granted")
        assert face.called("save") == [("claude", "made-by-the-tool", "~/.claude", "octocat")]
