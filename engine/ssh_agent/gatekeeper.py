"""What of a container's agent requests may reach the person's keys. Pure: one message in, one verdict out.

A key signs only for a host it was granted for, and which host that is is told by nobody: the client must
show the server's signature over the session (`session-bind@openssh.com`), the server's key must be one
that was pinned for the host, and what is signed must be the login of that very session. So a key that
another server would take cannot be used there, and nothing else can be signed with it at all.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from engine.ssh_agent.keys import fingerprint, signed_by
from engine.ssh_agent.messages import (
    EXTENSION,
    FAILURE,
    REQUEST_IDENTITIES,
    SESSION_BIND,
    SIGN_REQUEST,
    SUCCESS,
    SessionBind,
    SignRequest,
    identities_answer,
    parse_identities,
    parse_session_bind,
    parse_sign_request,
    parse_user_auth,
)
from engine.ssh_agent.wire import Malformed, Reader

type Action = Literal["list", "sign_allowed", "sign_denied"]
LIST: Final = "list"
SIGN_ALLOWED: Final = "sign_allowed"
SIGN_DENIED: Final = "sign_denied"


class SshGrant(msgspec.Struct, frozen=True):
    """One granted host: the user keys that may log in there, by fingerprint, and the host's pinned keys.

    host_keys: key blobs. A host that is reached at several ports or names has all of theirs.
    """

    host: str
    fingerprints: frozenset[str]
    host_keys: frozenset[bytes]


class SshEvent(msgspec.Struct, frozen=True):
    """One audit entry of type `ssh`."""

    action: Action
    host: str = ""
    fingerprint: str = ""
    error: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """Either `reply` goes back at once, or `ask` goes to the person's agent.

    event: must be durable before anything is asked or answered. listing: the agent's answer is a list
    of keys that has to go through `Gatekeeper.granted_only` first.
    """

    reply: bytes = b""
    ask: bytes = b""
    event: SshEvent | None = None
    listing: bool = False


class Gatekeeper:
    """One for each connection to the agent's socket; a connection is bound to one session, once."""

    def __init__(self, grants: tuple[SshGrant, ...]) -> None:
        self._grants = grants
        self._bound: SessionBind | None = None

    def judge(self, message: bytes) -> Verdict:
        """Never raises. `message` is without its length."""
        kind, body = message[:1], message[1:]
        try:
            if kind == bytes([REQUEST_IDENTITIES]) and not body:
                return Verdict(ask=message, event=SshEvent(LIST), listing=True)
            if kind == bytes([SIGN_REQUEST]):
                return self._sign(parse_sign_request(body))
            if kind == bytes([EXTENSION]):
                reader = Reader(body)
                if reader.text() == SESSION_BIND:
                    return self._bind(parse_session_bind(reader))
        except Malformed as error:
            return _denied(f"a malformed request: {error}")
        return Verdict(reply=FAILURE)  # add, remove, lock, unlock, other extensions: not the container's

    def granted_only(self, answer: bytes) -> bytes:
        """The agent's list of keys without those that were not granted; FAILURE for anything else."""
        granted = {name for grant in self._grants for name in grant.fingerprints}
        try:
            identities = parse_identities(answer)
        except Malformed:
            return FAILURE
        return identities_answer([item for item in identities if fingerprint(item.blob) in granted])

    def _bind(self, bind: SessionBind) -> Verdict:
        if bind.forwarding:
            return _denied("the agent is not forwarded to other machines", self._host_of(bind.host_key))
        if self._bound is not None and self._bound != bind:
            return _denied("the connection is bound to another session already")
        if not bind.session_id or not signed_by(bind.host_key, bind.session_id, bind.signature):
            return _denied("the server's signature over the session is not valid")
        self._bound = bind
        return Verdict(reply=SUCCESS)

    def _sign(self, request: SignRequest) -> Verdict:
        key = fingerprint(request.blob)
        host = self._host_of(self._bound.host_key) if self._bound else ""
        try:
            auth = parse_user_auth(request.payload)
        except Malformed as error:
            return _denied(f"only logins are signed; this is {error}", host, key)
        if self._bound is None:
            return _denied("the client did not say which server this is for (it needs OpenSSH 8.9)", "", key)
        if auth.session_id != self._bound.session_id:
            return _denied("the login is for another session than the one that was shown", host, key)
        if auth.blob != request.blob:
            return _denied("the login names another key than the one that shall sign", host, key)
        if auth.host_key and auth.host_key != self._bound.host_key:
            return _denied("the login is bound to another server than the one that was shown", host, key)
        if not host:
            server = fingerprint(self._bound.host_key)
            return _denied(f"the server with key {server} is no host of an ssh grant of this run", "", key)
        covering = (grant for grant in self._grants if self._bound.host_key in grant.host_keys)
        granted = next((grant for grant in covering if key in grant.fingerprints), None)
        if granted is None:
            return _denied(f"that key is not granted for {host}", host, key)
        return Verdict(ask=request.encode(), event=SshEvent(SIGN_ALLOWED, granted.host, key))

    def _host_of(self, host_key: bytes) -> str:
        return next((grant.host for grant in self._grants if host_key in grant.host_keys), "")


def _denied(error: str, host: str = "", key: str = "") -> Verdict:
    return Verdict(reply=FAILURE, event=SshEvent(SIGN_DENIED, host, key, error))
