"""One certificate authority per installation, whoever comes first."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import ssl
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from engine.errors import HomeError, ProxyError
from engine.home import Home
from engine.proxy.ca import CertificateAuthority
from engine.proxy.trust import TRUSTSTORE_PASSWORD, system_bundle


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "moat")


def test_it_is_made_once_and_found_again(home: Home) -> None:
    first = CertificateAuthority.load_or_create(home)
    again = CertificateAuthority.load_or_create(home)
    assert first.certificate == again.certificate
    assert first.name.startswith("Moat CA ")
    left = first.expires - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=3640) < left < datetime.timedelta(days=3651)
    key = first.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_threat_33_modes_whatever_the_umask(home: Home) -> None:
    old = os.umask(0)
    try:
        CertificateAuthority.load_or_create(home)
    finally:
        os.umask(old)
    for path in (home.ca / "ca.key", home.ca / "ca.crt"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.ca.stat().st_mode) == 0o700


def _first_run(root: Path, results: multiprocessing.Queue[bytes]) -> None:
    results.put(CertificateAuthority.load_or_create(Home(root)).certificate_pem)


def test_first_runs_at_once_agree(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bytes] = context.Queue()
    processes = [context.Process(target=_first_run, args=(home.root, results)) for _ in range(4)]
    for process in processes:
        process.start()
    made = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(timeout=60)
    assert made == {(home.ca / "ca.crt").read_bytes()}


def test_a_key_without_a_certificate_is_an_unfinished_beginning(home: Home) -> None:
    home.write(home.ca / "ca.key", b"half")
    assert CertificateAuthority.load(home) is None
    CertificateAuthority.load_or_create(home)
    assert CertificateAuthority.load(home) is not None


@pytest.mark.parametrize("damage", ["key", "certificate", "mismatch", "missing key"])
def test_damage_is_reported_and_never_overwritten(home: Home, damage: str, tmp_path: Path) -> None:
    CertificateAuthority.load_or_create(home)
    key, certificate = home.ca / "ca.key", home.ca / "ca.crt"
    if damage == "key":
        home.write(key, b"garbage")
    elif damage == "certificate":
        home.write(certificate, b"garbage")
    elif damage == "mismatch":
        other = Home(tmp_path / "other")
        CertificateAuthority.load_or_create(other)
        home.write(key, (other.ca / "ca.key").read_bytes())
    else:
        key.unlink()
    before = certificate.read_bytes()
    with pytest.raises(ProxyError) as caught:
        CertificateAuthority.load_or_create(home)
    assert str(home.ca) in caught.value.what
    assert caught.value.remedy
    assert "BEGIN" not in str(caught.value)
    assert certificate.read_bytes() == before


def test_an_expired_ca_is_reported(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.proxy.ca._VALIDITY", datetime.timedelta(hours=1))
    CertificateAuthority.load_or_create(home)
    with pytest.raises(ProxyError, match="expired"):
        CertificateAuthority.load_or_create(home)


def test_threat_33_a_symlink_is_refused(home: Home, tmp_path: Path) -> None:
    home.ensure_dir(home.ca)
    (home.ca / "ca.crt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError):
        CertificateAuthority.load_or_create(home)


def test_leaves_verify_for_their_hosts(home: Home) -> None:
    ca = CertificateAuthority.load_or_create(home)
    leaf = ca.issue("api.github.com", "127.0.0.1", "2001:db8::1")
    leaf.certificate.verify_directly_issued_by(ca.certificate)
    names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.github.com"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "2001:db8::1"]
    assert leaf.certificate.not_valid_after_utc <= ca.expires
    assert leaf.key.public_key() != ca.certificate.public_key()
    assert ca.issue("a." * 100 + "test").certificate


def test_the_key_is_in_no_repr_and_no_trust_file(home: Home, tmp_path: Path) -> None:
    ca = CertificateAuthority.load_or_create(home)
    files = ca.trust_files(tmp_path)
    secret = (home.ca / "ca.key").read_text().splitlines()[1]
    assert secret not in repr(ca) + repr(ca.issue("a.test"))
    for path in (files.ca, files.bundle, files.truststore):
        assert secret.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_bundle_is_the_systems_and_the_ca(home: Home, tmp_path: Path) -> None:
    ca = CertificateAuthority.load_or_create(home)
    files = ca.trust_files(tmp_path)
    assert files.ca.read_bytes() == ca.certificate_pem
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.bundle)
    subjects = [dict(part[0] for part in cert["subject"]) for cert in context.get_ca_certs()]  # type: ignore[misc]
    assert ca.name in [subject.get("commonName") for subject in subjects]
    assert len(subjects) > 50


def test_the_java_store_is_kept_and_renewed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "system.pem"
    bundle.write_bytes(system_bundle().read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    ca = CertificateAuthority.load_or_create(home)
    os.utime(home.ca / "ca.crt", (1, 1))
    os.utime(bundle, (1, 1))
    store = ca.trust().java_store
    assert ca.trust().java_store == store
    os.utime(bundle)  # newer than the store
    os.utime(home.ca / "truststore.p12", (2, 2))
    assert ca.trust().java_store != store  # salted anew
    with warnings.catch_warnings():  # public roots with odd serial numbers
        warnings.simplefilter("ignore")
        _, _, certificates = pkcs12.load_key_and_certificates(store, TRUSTSTORE_PASSWORD.encode())
    assert ca.certificate in certificates


def test_the_room_imports_no_mitmproxy() -> None:
    code = (
        "import sys, engine.proxy; "
        "found = [name for name in sys.modules if name.split('.')[0] in ('mitmproxy', 'OpenSSL', 'h2')]; "
        "sys.exit(str(found) if found else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_mitmproxys_addons_are_never_imported() -> None:
    code = (
        "import sys; from engine.proxy import preload; preload(); "
        "found = [name for name in sys.modules if name.startswith('mitmproxy.addons')]; "
        "sys.exit(str(found) if found else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
