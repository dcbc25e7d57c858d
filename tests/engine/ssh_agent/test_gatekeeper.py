"""Given this connection's messages and these grants: this verdict."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from support.ssh_session import Session, blob_of, sign, sign_request

from engine.ssh_agent.gatekeeper import Gatekeeper, SshEvent, SshGrant
from engine.ssh_agent.keys import fingerprint
from engine.ssh_agent.messages import FAILURE, SUCCESS, Identity, identities_answer, parse_identities
from engine.ssh_agent.wire import string

GITHUB = ed25519.Ed25519PrivateKey.generate()  # the granted server
OTHER = ed25519.Ed25519PrivateKey.generate()  # a server that would take the same key
MINE = blob_of(ed25519.Ed25519PrivateKey.generate())  # the granted user key
SECOND = blob_of(ed25519.Ed25519PrivateKey.generate())  # a key of the person's that was not granted
GRANT = SshGrant("github.com", frozenset({fingerprint(MINE)}), frozenset({blob_of(GITHUB)}))


def bound(session: Session, *grants: SshGrant) -> Gatekeeper:
    gatekeeper = Gatekeeper(grants or (GRANT,))
    assert gatekeeper.judge(session.bind()).reply == SUCCESS
    return gatekeeper


def denied(gatekeeper: Gatekeeper, message: bytes) -> str:
    """Why the message was refused."""
    verdict = gatekeeper.judge(message)
    assert verdict.reply == FAILURE
    assert not verdict.ask
    assert verdict.event is not None
    assert verdict.event.action == "sign_denied"
    return verdict.event.error


@pytest.mark.parametrize("hostbound", [True, False])
@pytest.mark.parametrize("flags", [0, 2, 4])
def test_a_login_at_the_granted_host_is_signed_flags_and_all(hostbound, flags):
    session = Session(GITHUB)
    request = sign_request(MINE, session.login(MINE, hostbound=hostbound), flags)
    verdict = bound(session).judge(request)
    assert verdict.ask == request
    assert verdict.event == SshEvent("sign_allowed", "github.com", fingerprint(MINE))


def test_the_same_key_at_another_host_is_refused():
    session = Session(OTHER)
    why = denied(bound(session), sign_request(MINE, session.login(MINE)))
    assert fingerprint(blob_of(OTHER)) in why


def test_a_key_that_was_not_granted_is_refused_at_the_granted_host():
    session = Session(GITHUB)
    assert "not granted" in denied(bound(session), sign_request(SECOND, session.login(SECOND)))


def test_a_key_is_good_only_for_its_own_host():
    theirs = SshGrant("gitlab.com", frozenset({fingerprint(SECOND)}), frozenset({blob_of(OTHER)}))
    session = Session(OTHER)
    gatekeeper = bound(session, GRANT, theirs)
    assert "not granted for gitlab.com" in denied(gatekeeper, sign_request(MINE, session.login(MINE)))
    assert gatekeeper.judge(sign_request(SECOND, session.login(SECOND))).ask


def test_two_granted_names_of_one_server():
    alias = SshGrant("ssh.github.com", frozenset({fingerprint(SECOND)}), GRANT.host_keys)
    session = Session(GITHUB)
    verdict = bound(session, GRANT, alias).judge(sign_request(SECOND, session.login(SECOND)))
    assert verdict.event == SshEvent("sign_allowed", "ssh.github.com", fingerprint(SECOND))


def test_without_a_binding_nothing_is_signed():
    session = Session(GITHUB)
    assert "did not say which server" in denied(Gatekeeper((GRANT,)), sign_request(MINE, session.login(MINE)))


def test_a_session_of_another_server_is_not_signed_for():
    """The agent binds to the granted server, and asks for a login at the other one."""
    session, theirs = Session(GITHUB), Session(OTHER)
    gatekeeper = bound(session)
    assert "another session" in denied(gatekeeper, sign_request(MINE, theirs.login(MINE)))
    mixed = session.login(MINE, session_id=theirs.session_id, hostbound=False)
    assert "another session" in denied(gatekeeper, sign_request(MINE, mixed))
    relabelled = session.login(MINE, host=blob_of(OTHER))
    assert "another server" in denied(gatekeeper, sign_request(MINE, relabelled))


def test_the_key_that_signs_is_the_key_that_logs_in():
    session = Session(GITHUB)
    assert "another key" in denied(bound(session), sign_request(MINE, session.login(SECOND)))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"a plain text",
        b"SSHSIG" + string(b"git") + string(b"") + string(b"sha512") + string(b"\0" * 64),
        string(b"\0" * 32) + b"\x33" + string(b"git"),
        string(b"\0" * 32) + b"\x32" + string(b"git") + string(b"ssh-connection") + string(b"hostbased"),
    ],
)
def test_nothing_but_a_login_is_signed(payload):
    assert "only logins are signed" in denied(bound(Session(GITHUB)), sign_request(MINE, payload))


def test_bytes_after_a_login_are_refused():
    session = Session(GITHUB)
    gatekeeper = bound(session)
    assert "only logins" in denied(gatekeeper, sign_request(MINE, session.login(MINE) + b"x"))
    assert "malformed" in denied(gatekeeper, sign_request(MINE, session.login(MINE)) + b"x")


def test_a_binding_that_the_server_did_not_sign_is_refused():
    session = Session(GITHUB)
    forged = sign(OTHER, session.session_id)
    gatekeeper = Gatekeeper((GRANT,))
    assert "not valid" in denied(gatekeeper, session.bind(signature=forged))
    assert "did not say which server" in denied(gatekeeper, sign_request(MINE, session.login(MINE)))


def test_a_connection_is_bound_once():
    session = Session(GITHUB)
    gatekeeper = bound(session)
    assert gatekeeper.judge(session.bind()).reply == SUCCESS  # the same again changes nothing
    assert "bound to another session" in denied(gatekeeper, Session(OTHER).bind())
    assert gatekeeper.judge(sign_request(MINE, session.login(MINE))).ask


def test_the_agent_is_not_forwarded():
    session = Session(GITHUB)
    gatekeeper = Gatekeeper((GRANT,))
    assert "forwarded" in denied(gatekeeper, session.bind(forwarding=True))
    assert denied(gatekeeper, sign_request(MINE, session.login(MINE)))


RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("key", "algorithm", "good"),
    [
        (RSA, "rsa-sha2-256", True),
        (RSA, "rsa-sha2-512", True),
        (RSA, "ssh-rsa", False),  # SHA-1
        (rsa.generate_private_key(65537, 1024), "rsa-sha2-256", False),
        (ec.generate_private_key(ec.SECP256R1()), "", True),
        (ec.generate_private_key(ec.SECP384R1()), "", True),
        (ec.generate_private_key(ec.SECP521R1()), "", True),
    ],
)
def test_the_kinds_of_host_keys(key, algorithm, good):
    reply = Gatekeeper((GRANT,)).judge(Session(key).bind(algorithm=algorithm)).reply
    assert (reply == SUCCESS) is good


def test_only_granted_keys_are_listed():
    gatekeeper = Gatekeeper((GRANT,))
    verdict = gatekeeper.judge(b"\x0b")
    assert verdict.ask == b"\x0b"
    assert verdict.listing
    assert verdict.event == SshEvent("list")
    answer = identities_answer([Identity(SECOND, b"work"), Identity(MINE, b"me@home")])
    assert parse_identities(gatekeeper.granted_only(answer)) == [Identity(MINE, b"me@home")]
    for nonsense in (b"", b"\x05", answer[:-3], answer + b"x", b"\x0c\xff\xff\xff\xff"):
        assert gatekeeper.granted_only(nonsense) == FAILURE


@pytest.mark.parametrize(
    "message",
    [
        b"\x11",  # add
        b"\x12" + string(MINE),  # remove
        b"\x13",  # remove all
        b"\x16" + string(b"secret"),  # lock
        b"\x17" + string(b"secret"),  # unlock
        b"\x14" + string(b"card"),  # a smart card
        b"\x19" + string(b"key"),  # add with constraints
        b"\x1b" + string(b"query"),
        b"\x1b" + string(b"restrict-destination-v00@openssh.com"),
        b"\x01",  # protocol 1
        b"\x0bx",
    ],
    ids=lambda message: f"{message[0]}-{len(message)}",
)
def test_everything_else_is_refused_and_reaches_nobody(message):
    verdict = Gatekeeper((GRANT,)).judge(message)
    assert (verdict.reply, verdict.ask) == (FAILURE, b"")


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x0d", b"\x1b", b"\x1b" + string(b"session-bind@openssh.com")]),
)
def test_no_bytes_make_it_raise_or_ask(data, start):
    verdict = Gatekeeper((GRANT,)).judge(start + data)
    assert verdict.reply == FAILURE or verdict.ask == b"\x0b"
