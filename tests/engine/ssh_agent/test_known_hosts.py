"""Pinned host keys, from files that the real ssh-keygen reads."""

from __future__ import annotations

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from support.ssh_session import blob_of

from engine.errors import GrantError
from engine.ssh_agent import host_name, pinned_keys

KEYS = [blob_of(ed25519.Ed25519PrivateKey.generate()) for _ in range(4)]


def line(names: str, key: bytes, marker: str = "") -> str:
    return f"{marker}{names} ssh-ed25519 {base64.b64encode(key).decode()} a comment\n"


@pytest.fixture
def known_hosts(tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(
        "# a comment\n\n"
        + line("github.com,140.82.121.4", KEYS[0])
        + line("[git.test]:2222", KEYS[1])
        + line("git.test", KEYS[2])
        + line("*", KEYS[3], "@cert-authority ")
        + "git.test ssh-ed25519 not-base64\n"
    )
    return file


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("github.com", 22, {KEYS[0]}),
        ("git.test", 2222, {KEYS[1]}),
        ("git.test", 22, {KEYS[2]}),
        ("elsewhere.test", 22, set()),
    ],
)
def test_the_keys_of_a_host(known_hosts, host, port, expected):
    assert pinned_keys(host, port, [known_hosts, known_hosts.with_name("missing")]) == expected


def test_hashed_names_are_found(known_hosts):
    subprocess.run(["ssh-keygen", "-H", "-f", str(known_hosts)], check=True, capture_output=True)
    assert "github.com" not in known_hosts.read_text()
    assert pinned_keys("github.com", 22, [known_hosts]) == {KEYS[0]}


def test_a_revoked_key_is_no_pin(known_hosts):
    other = known_hosts.with_name("other")
    other.write_text(line("github.com", KEYS[0], "@revoked "))
    assert pinned_keys("github.com", 22, [known_hosts, other]) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("GitHub.com", ("github.com", 22)), ("git.test:2222", ("git.test", 2222)), ("h", ("h", 22))],
)
def test_host_names(text, expected):
    assert host_name(text) == expected


@pytest.mark.parametrize(
    "text", ["", "-oProxyCommand=x", "a b", "h:", "h:0", "h:65536", "h:x", "a/b", "*", "\u0130"]
)
def test_what_is_no_host(text):
    with pytest.raises(GrantError):
        host_name(text)
