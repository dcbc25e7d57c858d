"""Python, the clock, the key and the certificate authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.doctor import local_checks
from engine.doctor.local_checks import (
    check_ca,
    check_clock,
    check_heads,
    check_key,
    check_providers,
    check_python,
    check_settings,
    judge_clock,
    parse_time,
)
from engine.doctor.results import CheckState
from engine.errors import MoatError
from engine.grants import load_providers
from engine.heads import HeadsState, look_at_heads
from engine.home import Home
from engine.run.request import RunRequest
from engine.run.spec import check_host_config, settle

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_python():
    assert check_python((3, 12, 0)).state is CheckState.OK
    assert check_python((3, 14, 1)).state is CheckState.OK
    old = check_python((3, 11, 9))
    assert (old.state, old.needed) == (CheckState.FAIL, True)
    assert "3.12" in old.remedy


@pytest.mark.parametrize(
    ("now", "engine", "written", "state"),
    [
        (NOW, None, None, CheckState.OK),
        (NOW, NOW + timedelta(seconds=50), NOW, CheckState.OK),
        (NOW, NOW + timedelta(seconds=70), None, CheckState.WARN),
        (NOW, NOW - timedelta(hours=1), None, CheckState.WARN),
        (NOW, None, NOW + timedelta(hours=2), CheckState.OK),  # a file from another time zone's clock
        (NOW, None, NOW + timedelta(days=2), CheckState.FAIL),
        (datetime(1970, 1, 1, tzinfo=UTC), None, None, CheckState.FAIL),
    ],
)
def test_clock(now, engine, written, state):
    result = judge_clock(now, engine=engine, written=written)
    assert result.state is state
    assert bool(result.remedy) == (state is not CheckState.OK)


async def test_the_engines_clock_is_asked(engine, machine, home):
    engine.info["SystemTime"] = "2001-02-03T04:05:06.123456789Z"
    assert (await check_clock(machine, home)).state is CheckState.WARN
    engine.info["SystemTime"] = datetime.now(UTC).isoformat()
    assert "as the Docker engine's" in (await check_clock(machine, home)).message


def test_times_with_nanoseconds_are_read():
    assert parse_time("2026-11-21T21:26:44.820570361Z") == datetime(
        2026, 11, 21, 21, 26, 44, 820570, tzinfo=UTC
    )
    assert parse_time("") is None


class Where(msgspec.Struct, frozen=True):
    place: str
    detail: str
    problem: str = ""


def test_the_key():
    assert check_key(lambda: Where("keychain", "SecretService")).remedy == ""
    in_file = check_key(lambda: Where("file", "/h/encryption.key"))
    assert in_file.state is CheckState.OK
    assert "/h/encryption.key" in in_file.message
    assert check_key(lambda: Where("none", "the first grant will make one")).state is CheckState.OK
    locked = check_key(lambda: Where("none", "the keychain fails", "the keychain is locked"))
    assert locked.state is CheckState.FAIL
    assert locked.message == "the keychain is locked"
    assert locked.remedy


@pytest.fixture
def authority(home):
    def make(start=NOW - timedelta(days=1), end=NOW + timedelta(days=365), mode=0o600):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Moat")])
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(start).not_valid_after(end).sign(key, hashes.SHA256())
        )  # fmt: skip
        home.write(home.ca / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))
        home.write(home.ca / "ca.key", b"key")
        (home.ca / "ca.key").chmod(mode)

    return make


def test_no_authority_yet_is_fine_and_none_is_made(home):
    assert check_ca(home, NOW).state is CheckState.OK
    assert not home.root.exists()


def test_a_valid_authority(home, authority):
    authority()
    assert check_ca(home, NOW).message == "valid until 2027-05-01"


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"start": NOW - timedelta(days=9), "end": NOW - timedelta(days=1)}, "expired"),
        ({"start": NOW + timedelta(days=1)}, "not valid before"),
        ({"mode": 0o640}, "others can read"),
    ],
)
def test_a_broken_authority(home, authority, kwargs, words):
    authority(**kwargs)
    result = check_ca(home, NOW)
    assert result.state is CheckState.FAIL
    assert words in result.message
    assert result.remedy


def test_a_certificate_that_is_none(home):
    home.write(home.ca / "ca.crt", b"garbage")
    assert "not a certificate" in check_ca(home, NOW).message


def test_an_authority_without_its_key(home, authority):
    authority()
    (home.ca / "ca.key").unlink()
    assert "missing" in check_ca(home, NOW).message


def test_a_key_file_that_cannot_be_used_is_no_matter_of_a_keychain():
    class File:
        place, detail, problem = "file", "/home/encryption.key", "Permission denied"

    assert "keychain" not in check_key(File).remedy


async def test_a_home_that_may_not_be_looked_into_leaves_the_clock_to_other_witnesses(
    machine, home, monkeypatch
):
    class Hidden:
        def stat(self):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(local_checks, "_witnesses", lambda machine, home: (Hidden(),))
    assert (await check_clock(machine, home)).state is CheckState.OK


def test_a_mistake_in_ones_own_providers_is_a_warning_that_names_the_file(tmp_path):
    home = Home(tmp_path / "home")
    assert check_providers(lambda: load_providers(home).bad).state is CheckState.OK
    home.write(home.providers / "a.yaml", b"a: 1\n")
    found = check_providers(lambda: load_providers(home).bad)
    assert (found.state, "a.yaml:1" in found.message) == (CheckState.WARN, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("theme: moat-dark\ndecoy: true\n", "config.yaml:2: "),
        ("network:\n  approval_timeout: 1\n", "config.yaml:2: "),
        ("network: {upstream_ca: /nowhere/ca.pem}\n", "/nowhere/ca.pem"),
        ("network: {allow_private: ['a.test:99999']}\n", "a.test:99999"),
        (b"\xff", "config.yaml"),
    ],
)
def test_a_mistake_in_the_settings_stops_every_run_and_is_named_with_its_line(tmp_path, text, said):
    home = Home(tmp_path / "home")
    look = lambda: check_host_config(home)  # noqa: E731
    assert check_settings(look).state is CheckState.OK
    home.write(home.config_file, text if isinstance(text, bytes) else text.encode())
    found = check_settings(look)
    assert (found.state, found.needed, said in found.message) == (CheckState.FAIL, True, True), found
    assert found.remedy
    with pytest.raises(MoatError):
        settle(home, RunRequest(workspace=str(tmp_path), command=("true",)))
    home.write(home.config_file, b"theme: moat-dark\n")
    assert check_settings(look).state is CheckState.OK


def test_the_installations_log(tmp_path):
    home = Home(tmp_path)
    assert "the first run begins it" in check_heads(lambda: look_at_heads(home)).message
    assert check_heads(lambda: HeadsState(9, 1)).state is CheckState.OK
    broken = check_heads(lambda: HeadsState(problem="it was changed"))
    assert (broken.state, broken.message) == (CheckState.FAIL, "it was changed")
