"""The agent protocol's messages that Moat understands; everything else is refused unread.

Source: draft-ietf-sshm-ssh-agent (numbers and shapes), OpenSSH PROTOCOL.agent §1 (session-bind) and
RFC 4252 §7 with OpenSSH PROTOCOL §3.1 (what a client asks to have signed).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.ssh_agent.wire import Malformed, Reader, string, uint32

FAILURE = b"\x05"
SUCCESS = b"\x06"
REQUEST_IDENTITIES = 11
IDENTITIES_ANSWER = 12
SIGN_REQUEST = 13
SIGN_RESPONSE = 14
EXTENSION = 27
SESSION_BIND = "session-bind@openssh.com"

MAX_IDENTITIES = 2048
_USERAUTH_REQUEST = 50
_HOSTBOUND = "publickey-hostbound-v00@openssh.com"


class Identity(msgspec.Struct, frozen=True):
    blob: bytes
    comment: bytes


class SignRequest(msgspec.Struct, frozen=True):
    """flags: 2 and 4 ask an RSA key for SHA-256 and SHA-512; they go on as they are."""

    blob: bytes
    payload: bytes
    flags: int

    def encode(self) -> bytes:
        return bytes([SIGN_REQUEST]) + string(self.blob) + string(self.payload) + uint32(self.flags)


class SessionBind(msgspec.Struct, frozen=True):
    """The client shows which server it talks to: that server's signature over this session's id."""

    host_key: bytes
    session_id: bytes
    signature: bytes
    forwarding: bool


class UserAuth(msgspec.Struct, frozen=True):
    """What an SSH client asks to have signed to log in. host_key: empty unless the request is host-bound."""

    session_id: bytes
    user: str
    algorithm: str
    blob: bytes
    host_key: bytes


def parse_sign_request(body: bytes) -> SignRequest:
    reader = Reader(body)
    request = SignRequest(reader.string(), reader.string(), reader.uint32())
    reader.end()
    return request


def parse_session_bind(reader: Reader) -> SessionBind:
    """From after the extension's name."""
    bind = SessionBind(reader.string(), reader.string(), reader.string(), reader.boolean())
    reader.end()
    return bind


def parse_user_auth(payload: bytes) -> UserAuth:
    """Raises Malformed for everything else that keys sign: `SSHSIG` texts, certificates, plain bytes."""
    reader = Reader(payload)
    session_id = reader.string()
    if reader.byte() != _USERAUTH_REQUEST:
        raise Malformed("not a request to log in")
    user = reader.string().decode("utf-8", "replace")
    if reader.text() != "ssh-connection":
        raise Malformed("a request for another service than ssh-connection")
    method = reader.text()
    if method not in ("publickey", _HOSTBOUND) or not reader.boolean():
        raise Malformed("a request of another method than publickey")
    algorithm, blob = reader.text(), reader.string()
    host_key = reader.string() if method == _HOSTBOUND else b""
    reader.end()
    if method == _HOSTBOUND and not host_key:
        raise Malformed("a host-bound request without its host key")
    return UserAuth(session_id, user, algorithm, blob, host_key)


def parse_identities(message: bytes) -> list[Identity]:
    reader = Reader(message)
    if reader.byte() != IDENTITIES_ANSWER:
        raise Malformed("not a list of identities")
    count = reader.uint32()
    if count > MAX_IDENTITIES:
        raise Malformed("too many identities")
    identities = [Identity(reader.string(), reader.string()) for _ in range(count)]
    reader.end()
    return identities


def identities_answer(identities: Sequence[Identity]) -> bytes:
    parts = [string(item.blob) + string(item.comment) for item in identities]
    return bytes([IDENTITIES_ANSWER]) + uint32(len(parts)) + b"".join(parts)


def is_signature(message: bytes) -> bool:
    """Whether the agent's answer to a sign request is a signature, and nothing besides."""
    try:
        reader = Reader(message)
        if reader.byte() != SIGN_RESPONSE:
            return False
        reader.string()
        reader.end()
    except Malformed:
        return False
    return True
