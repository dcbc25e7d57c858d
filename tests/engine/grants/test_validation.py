"""Asking the service: over real TLS to a server of ours, whatever it answers."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.errors import GrantError
from engine.grants import HostRule, Provider, Validation, builtin_providers, npm, validate

CANARY = "canary-a11d-secret-value"


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold = threading.Event()
        self.hold.set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refuses our certificate is a case under test."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        service: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        service.seen.append((self.command, self.path, headers, body))
        service.hold.wait(20)
        status, extra, text = service.answer
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for localhost, key included."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def service(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = Service(certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.hold.set()
    server.shutdown()
    thread.join(10)
    server.server_close()


def played_by(service: Service, **validation: Any) -> Provider:
    port = service.server_address[1]
    return Provider(
        name="thing",
        title="Thing",
        hosts=(HostRule("localhost", "Authorization", "Bearer {token}", (port,)),),
        validation=Validation(url=f"https://localhost:{port}/user", **validation),
    )


async def test_the_account_is_told(service: Service) -> None:
    service.answer = (200, {}, json.dumps({"login": "octo\x1bcat", "id": 1}).encode())
    assert await validate(played_by(service, account="login"), f" {CANARY}\n") == "octocat"
    method, path, headers, body = service.seen[0]
    assert (method, path, body) == ("GET", "/user", b"")
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert headers["user-agent"] == "moat"


async def test_a_request_with_a_body(service: Service) -> None:
    service.answer = (200, {}, b'{"data": {"viewer": {"name": "Ada"}}}')
    row = played_by(service, method="POST", body='{"q": 1}', headers={"Content-Type": "application/json"}, account="data.viewer.name")  # noqa: E501  # fmt: skip
    assert await validate(row, CANARY) == "Ada"
    method, _, headers, body = service.seen[0]
    assert (method, headers["content-type"], body) == ("POST", "application/json", b'{"q": 1}')


@pytest.mark.parametrize("answer", [b"", b"[]", b"not json", b'{"login": 5}', b'{"other": "x"}', b"\xff"])
async def test_an_answer_without_account_is_still_an_answer(service: Service, answer: bytes) -> None:
    service.answer = (200, {}, answer)
    assert await validate(played_by(service, account="login.name"), CANARY) == ""


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_the_provider_and_the_remedy(service: Service, status: int) -> None:
    service.answer = (status, {}, CANARY.encode())
    error = await _refused(played_by(service), CANARY)
    assert "Thing refused the credential for thing" in error.what
    assert "--no-validate" in error.remedy


@pytest.mark.parametrize("status", [302, 404, 429, 500])
async def test_another_answer_is_no_verdict(service: Service, status: int) -> None:
    service.answer = (status, {"Location": f"https://localhost:{service.server_address[1]}/elsewhere"}, b"")
    error = await _refused(played_by(service), CANARY)
    assert f"answered {status}" in error.what
    assert "--no-validate" in error.remedy
    assert [path for _, path, _, _ in service.seen] == ["/user"], (
        "a redirect is not followed with the credential"
    )


async def test_an_untrusted_service_gets_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    error = await _refused(played_by(service), CANARY)
    assert "certificate could not be verified" in error.detail
    assert service.seen == []


async def test_a_service_that_is_down(service: Service) -> None:
    row = played_by(service)
    service.shutdown()
    service.socket.close()
    error = await _refused(row, CANARY)
    assert "cannot be reached" in error.what
    assert "--no-validate" in error.remedy


async def test_a_service_that_does_not_answer(service: Service) -> None:
    service.hold.clear()
    error = await _refused(played_by(service), CANARY, timeout=0.2)
    assert "did not answer within 0.2 s" in error.what or "cannot be reached" in error.what
    assert "--no-validate" in error.remedy


async def test_an_unusable_token_is_not_sent(service: Service) -> None:
    await _refused(played_by(service), f"{CANARY}\r\nX: y")
    assert service.seen == []


async def test_a_provider_without_a_request_takes_any_token() -> None:
    assert await validate(builtin_providers()["claude"], CANARY) == ""


def kept_for(service: Service, path: str = "/api/npm/") -> str:
    return npm.encode([npm.Registry("localhost", CANARY, port=service.server_address[1], path=path)])


async def test_an_npm_token_is_shown_to_its_own_registry(service: Service) -> None:
    service.answer = (200, {}, b'{"username": "octo"}')
    assert await validate(npm.NPM, kept_for(service)) == "octo"
    ((method, path, headers, _),) = service.seen
    assert (method, path) == ("GET", "/api/npm/-/whoami")
    assert headers["authorization"] == f"Bearer {CANARY}"


async def test_an_npm_token_alone_is_for_the_registry_that_npm_uses(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".npmrc").write_text(f"registry=https://localhost:{service.server_address[1]}/\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await validate(npm.NPM, CANARY) == ""
    assert [path for _, path, _, _ in service.seen] == ["/-/whoami"]


async def test_a_registry_that_refuses_is_named_and_one_that_has_no_such_request_is_no_verdict(
    service: Service,
) -> None:
    service.answer = (401, {}, b"")
    error = await _refused(npm.NPM, kept_for(service))
    assert "The npm registry localhost refused the credential for npm" in error.what
    service.answer = (404, {}, b"")
    assert await validate(npm.NPM, kept_for(service)) == ""
    service.answer = (500, {}, b"")
    assert "answered 500" in (await _refused(npm.NPM, kept_for(service))).what


async def test_the_hosts_proxy_is_asked_for_a_tunnel(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses sees the name of the host and nothing else."""
    seen: list[bytes] = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            seen.append(self.raw_requestline + str(self.headers).encode())
            self.send_error(502)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("no_proxy", "")
        error = await _refused(played_by(service), CANARY)
        proxy.shutdown()
        thread.join(10)
    assert "cannot be reached" in error.what
    assert seen[0].startswith(b"CONNECT localhost:")
    assert CANARY.encode() not in seen[0]
    assert service.seen == []


async def _refused(row: Provider, token: str, timeout: float = 10) -> GrantError:
    with pytest.raises(GrantError) as caught:
        await validate(row, token, timeout=timeout)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    return caught.value
