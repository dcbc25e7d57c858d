"""A run follows the store: a credential granted again is taken up, a revoked one kept."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from engine.credentials import CredentialStore
from engine.granting import list_grants, revoke_grant, save_grant
from engine.grants import load_providers
from engine.home import Home
from engine.run.granted import renewal
from engine.run.granted.injections import open_grants

OLD, NEW = "ghp_canaryOld0123456789", "ghp_canaryNew0123456789"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_KEYRING_BACKEND", "file")
    monkeypatch.setattr(renewal, "LOOK_EVERY", 0.01)
    return Home(tmp_path / "home")


class Watching:
    """What a run's renewal did, while it is watched."""

    def __init__(self, home, *grants):
        store = CredentialStore(home)
        self.renewal = open_grants(store, grants or ("github",), load_providers(home)).renewal
        self.values = []
        self.notices = []
        self.moved = asyncio.Event()

    async def renewed(self, injection):
        self.values.append(injection.values[0])
        self.moved.set()

    def notice(self, text):
        self.notices.append(text)
        self.moved.set()

    async def until_moved(self):
        async with asyncio.timeout(10):
            await self.moved.wait()
        self.moved.clear()

    @contextlib.asynccontextmanager
    async def on(self):
        task = asyncio.ensure_future(self.renewal.watch(self.renewed, self.notice))
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_credential_granted_again_is_taken_up_with_its_scope(home):
    save_grant(home, "github", OLD, source="stdin")
    async with Watching(home, "github:ro").on() as run:
        save_grant(home, "github", NEW, source="stdin")
        await run.until_moved()
    assert run.values == [f"Bearer {NEW}"]
    assert run.notices == []
    assert OLD not in repr(run.renewal)


async def test_one_granted_between_reading_and_watching_is_not_missed(home):
    save_grant(home, "github", OLD, source="stdin")
    run = Watching(home)
    save_grant(home, "github", NEW, source="stdin")
    async with run.on():
        await run.until_moved()
    assert run.values == [f"Bearer {NEW}"]


async def test_a_revoked_one_is_kept_and_a_damaged_one_said_once(home):
    save_grant(home, "github", OLD, source="stdin")
    save_grant(home, "openai", OLD, source="stdin")
    async with Watching(home, "openai", "github").on() as run:
        revoke_grant(home, "openai")
        (home.credentials / "github.enc").write_bytes(b"damaged")
        await run.until_moved()
        save_grant(home, "github", NEW, source="stdin")
        await run.until_moved()
    assert run.values == [f"Bearer {NEW}"]
    (said,) = run.notices
    assert "the run keeps the credential of github" in said


async def test_what_gh_printed_is_read_again_and_stored_for_all(home, tmp_path, monkeypatch):
    gh = tmp_path / "gh"
    gh.write_text(f"#!/bin/sh\necho {NEW}\n")
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(renewal, "REREAD_EVERY", 0.02)
    save_grant(home, "github", OLD, source="gh auth token", account="me")
    async with Watching(home).on() as run:
        await run.until_moved()
    assert run.values == [f"Bearer {NEW}"]
    stored = CredentialStore(home).get("github")
    assert (stored.token, stored.metadata) == (NEW, {"source": "gh auth token", "account": "me"})
    (grant,) = list_grants(home)
    assert grant.state == "valid"


async def test_one_that_a_person_gave_is_not_replaced_by_what_gh_prints(home, tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    gh = tmp_path / "gh"
    gh.write_text(f"#!/bin/sh\ntouch {asked}\necho {NEW}\n")
    gh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(renewal, "REREAD_EVERY", 0.0)
    save_grant(home, "github", OLD, source="prompt")
    save_grant(home, "openai", OLD, source="prompt")
    async with Watching(home, "github", "openai").on() as run:
        save_grant(home, "openai", NEW, source="prompt")  # several looks have been by the time this is seen
        await run.until_moved()
    assert run.values == [f"Bearer {NEW}"]
    assert not asked.exists()
    assert CredentialStore(home).get("github").token == OLD
