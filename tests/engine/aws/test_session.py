"""When STS is asked and when not, with a clock that stands."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from support.aws import ROLE

from engine.aws import RoleSession, TemporaryCredentials, check_aws_role
from engine.errors import GrantError

START = datetime(2026, 1, 1, tzinfo=UTC)


class Sts:
    """Gives 15 minutes from `now`; `fails` is raised instead."""

    def __init__(self):
        self.now = START
        self.names = []
        self.fails = None
        self.gate = threading.Event()
        self.gate.set()

    def assume(self, role, name):
        assert self.gate.wait(10)
        self.names.append(name)
        if self.fails:
            raise self.fails
        return TemporaryCredentials(
            "ASIA", f"secret{len(self.names)}", "token", self.now + timedelta(minutes=15), "sts.test"
        )

    def session(self):
        return RoleSession(check_aws_role(ROLE), "run_1", self.assume, lambda: self.now)


async def test_they_are_kept_until_five_minutes_before_they_expire():
    sts = Sts()
    session = sts.session()
    first = await session.credentials()
    sts.now += timedelta(minutes=9, seconds=59)
    assert await session.credentials() is first
    sts.now += timedelta(seconds=1)
    assert (await session.credentials()).secret_access_key == "secret2"
    assert sts.names == ["moat-run_1"] * 2


async def test_many_who_ask_at_once_ask_sts_once():
    sts = Sts()
    sts.gate.clear()
    session = sts.session()
    asked = [asyncio.ensure_future(session.credentials()) for _ in range(20)]
    await asyncio.sleep(0)
    sts.gate.set()
    assert len({id(held) for held in await asyncio.gather(*asked)}) == 1
    assert len(sts.names) == 1


async def test_what_cannot_be_renewed_serves_until_it_expires():
    sts = Sts()
    session = sts.session()
    first = await session.credentials()
    sts.fails = GrantError("refused")
    sts.now += timedelta(minutes=12)
    assert await session.credentials() is first
    sts.now += timedelta(minutes=3)
    with pytest.raises(GrantError, match="refused"):
        await session.credentials()


async def test_after_a_failure_sts_is_left_alone_for_a_moment():
    sts = Sts()
    sts.fails = GrantError("refused")
    session = sts.session()
    for _ in range(10):
        with pytest.raises(GrantError, match="refused"):
            await session.credentials()
    assert len(sts.names) == 1
    sts.fails = None
    sts.now += timedelta(seconds=5)
    assert (await session.credentials()).secret_access_key


async def test_sts_that_never_answers(monkeypatch):
    monkeypatch.setattr("engine.aws.session._TIMEOUT", 0.05)
    sts = Sts()
    sts.gate.clear()
    try:
        with pytest.raises(GrantError, match="gave no answer within"):
            await sts.session().credentials()
    finally:
        sts.gate.set()


def test_no_value_in_a_repr():
    held = TemporaryCredentials("ASIA", "the-secret", "the-token", START, "sts.test")
    assert "the-" not in repr(held) + repr(held.__rich_repr__())
