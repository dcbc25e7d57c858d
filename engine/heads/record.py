"""What the installation's log is told of a run: its start, heads, close and destruction. Blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from engine.audit import RunKeys, Signer
from engine.audit.checkpoint import parse_checkpoint
from engine.audit.gate import utc_now
from engine.audit.keys import installation_origin
from engine.audit.note import parse_note
from engine.credentials import KeySource
from engine.errors import CredentialError
from engine.heads.event import CLOSE, DESTROY, HEAD, START
from engine.heads.installation import Installation
from engine.heads.sealed_key import read_pin
from engine.heads.store import HeadsLog, HeadsMissing, heads_log
from engine.home import Home

type Clock = Callable[[], datetime]


def begin_run(home: Home, keys: KeySource, run_id: str, *, clock: Clock = utc_now) -> RunKeys:
    """The run's first key, certified by the installation's, once its `start` is durable and signed.

    The run's directory exists by then: one without is what a deleted run looks like. Raises MoatError
    when it cannot be recorded or the key cannot be opened; the run does not start then.
    """
    with Installation(home, keys, clock) as installation, installation.transaction() as log:
        begun = RunKeys.begin(log.origin, run_id, installation.signer, log.now)
        log.append(START, run_id, str(begun.certificates[0]))
    return begun


def require_key(home: Home, keys: KeySource) -> None:
    """Open the installation's key, or make its first one. Raises MoatError when no run could be begun."""
    with Installation(home, keys):
        pass


def record_head(home: Home, run_id: str, note: str, *, clock: Clock = utc_now) -> None:
    """A checkpoint of the run. No key is needed: the note is signed by the run's. Raises MoatError."""
    parse_checkpoint(parse_note(note.encode()).text)
    with _unsigned(home, clock) as log:
        log.append(HEAD, run_id, note)


def close_run(home: Home, keys: KeySource, run_id: str, note: str, *, clock: Clock = utc_now) -> None:
    """The run's close record, under a signed head when the installation's key can be opened."""
    _record(home, keys, CLOSE, run_id, note, clock)


def destroy_run(home: Home, keys: KeySource, run_id: str, *, clock: Clock = utc_now) -> None:
    """That the run's directory is removed on purpose. Nothing where there is no log to say it in."""
    with contextlib.suppress(HeadsMissing, FileNotFoundError):
        _record(home, keys, DESTROY, run_id, "", clock)


class Closing(msgspec.Struct, frozen=True):
    """For closing the log of a run whose supervisor died. origin: `moat/ID`, under which `signer` signs."""

    installation: Installation
    run_id: str

    @property
    def origin(self) -> str:
        return self.installation.origin

    @property
    def signer(self) -> Signer:
        return self.installation.signer

    def record(self, note: str) -> None:
        """The close record that was made."""
        with self.installation.transaction() as log:
            log.append(CLOSE, self.run_id, note)


@contextlib.contextmanager
def closing(home: Home, keys: KeySource, run_id: str, *, clock: Clock = utc_now) -> Iterator[Closing]:
    """The installation's key for the block, in which nobody can replace it. Raises MoatError."""
    with Installation(home, keys, clock) as installation:
        with installation.transaction():
            pass  # a key that is a day old is replaced before it signs anything more
        yield Closing(installation, run_id)


def _record(home: Home, keys: KeySource, event: str, run_id: str, note: str, clock: Clock) -> None:
    """Signed if possible: a locked keychain must not keep an event from being written down."""
    read_pin(home)
    try:
        with Installation(home, keys, clock) as installation, installation.transaction() as log:
            log.append(event, run_id, note)
    except CredentialError:
        with _unsigned(home, clock) as log:
            log.append(event, run_id, note)


@contextlib.contextmanager
def _unsigned(home: Home, clock: Clock) -> Iterator[HeadsLog]:
    key0 = read_pin(home)
    with heads_log(home, installation_origin(key0), key0, clock()) as log:
        yield log
