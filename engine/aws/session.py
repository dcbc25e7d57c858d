"""What one run has of a role: temporary credentials, asked for when wanted and renewed before they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from engine.aws.role import AwsRole
from engine.aws.sts import TemporaryCredentials, assume_role
from engine.errors import GrantError

REFRESH = timedelta(minutes=5)  # before they expire (formats.md, "AWS")
_TIMEOUT = 45.0  # seconds for STS, whatever its library does
_QUIET = timedelta(
    seconds=5
)  # after a failure nobody is asked again: clients retry at once, and many at a time


def _now() -> datetime:
    return datetime.now(UTC)


class RoleSession:
    """Whoever asks while STS is being asked gets the same answer."""

    def __init__(
        self,
        role: AwsRole,
        run_id: str,
        assume: Callable[[AwsRole, str], TemporaryCredentials] = assume_role,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._role = role
        self._name = f"moat-{run_id}"
        self._assume = assume
        self._now = now
        self._asking = asyncio.Lock()
        self._held: TemporaryCredentials | None = None
        self._failure: tuple[datetime, GrantError] | None = None

    async def credentials(self) -> TemporaryCredentials:
        """Raises GrantError when there are none. Those that AWS would not renew serve until they expire."""
        async with self._asking:
            if self._held is not None and self._left(self._held) > REFRESH:
                return self._held
            try:
                self._held = await self._ask()
            except GrantError:
                if self._held is None or self._left(self._held) <= timedelta(0):
                    raise
            return self._held

    def _left(self, held: TemporaryCredentials) -> timedelta:
        return held.expires_at - self._now()

    async def _ask(self) -> TemporaryCredentials:
        if self._failure is not None and self._now() - self._failure[0] < _QUIET:
            raise self._failure[1]
        try:
            async with asyncio.timeout(_TIMEOUT):
                given = await asyncio.to_thread(self._assume, self._role, self._name)
        except TimeoutError:
            error = GrantError(
                f"AWS STS gave no answer within {_TIMEOUT:g} s for the role {self._role.arn}",
                remedy="Check the network, and the region of the grant.",
            )
            self._failure = (self._now(), error)
            raise error from None
        except GrantError as error:
            self._failure = (self._now(), error)
            raise
        self._failure = None
        return given
