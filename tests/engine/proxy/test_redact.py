"""Nothing that is a credential is written down."""

from __future__ import annotations

import base64
import gzip
import html
import json
import urllib.parse
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from engine.proxy.mask import REDACTED, Masker
from engine.proxy.redact import PREVIEW, Redactor, mask_secrets

SECRET = "ghp_CANARY/9f3+aZ=x7Q2mK5vB8nL1"
redactor = Redactor(Masker([SECRET]), ["X-Goog-Api-Key", "DD-Weird"])


def spellings() -> list[str]:
    return [
        SECRET,
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        SECRET.replace("/", "\\/"),
        html.escape(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
    ]


@pytest.mark.parametrize("spelled", spellings())
def test_every_spelling_of_a_secret_is_blotted_out(spelled: str) -> None:
    masked = Masker([SECRET]).mask(f"before {spelled} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert REDACTED in masked
    assert "CANARY" not in masked


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_base64_at_any_alignment(before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(before + SECRET.encode() + after).decode()
        masked = Masker([SECRET]).mask(coded)
        assert REDACTED in masked
        # at either side at most the characters that the secret shares with its neighbours are left
        assert len(masked) - len(REDACTED) <= 2 * (len(before) + len(after)) + 8


def test_forms_that_only_a_response_has_are_blotted_out_too() -> None:
    coded = "".join(f"%{byte:02x}" for byte in SECRET.encode())
    assert Masker([SECRET]).mask(f"a {coded} b") == f"a {'x' * len(coded)} b"


def test_a_secret_cut_at_the_end_is_blotted_out_too() -> None:
    masker = Masker([SECRET])
    for length in range(4, len(SECRET)):
        assert masker.mask("x " + SECRET[:length], cut=True) == f"x {REDACTED}"
    assert masker.mask("x " + SECRET[:12]) == "x " + SECRET[:12]


def test_overlapping_secrets_leave_nothing() -> None:
    assert Masker(["abc-token-long", "abc"]).mask("abc-token-long") == REDACTED


def test_no_secrets_no_change() -> None:
    assert Masker([]).mask("text", cut=True) == "text"
    assert Masker([""]).mask("text") == "text"


def test_mask_secrets_for_console_lines() -> None:
    assert mask_secrets(f"token={SECRET}!", (SECRET,)) == f"token={REDACTED}!"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "authorization", "Cookie", "Set-Cookie", "Proxy-Authorization", "Proxy-Anything",
        "X-Api-Key", "PRIVATE-TOKEN",
        "X-Subscription-Token", "xi-api-key", "DD-API-KEY", "X-Goog-Api-Key", "dd-weird",
        "X-Auth-Token", "X-Amz-Security-Token", "X-Vault-Token", "X-Client-Secret", "X-Password",
        "X-Session-Id",
        "X-CSRF-Token", "X-Hub-Signature-256",
    ],
)  # fmt: skip
def test_threat_31_credential_headers(name: str) -> None:
    assert redactor.headers([(name.encode(), b"value")]) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Content-Type",
        "X-RateLimit-Remaining",
        "ETag",
        "Sec-WebSocket-Key",
        "WWW-Authenticate",
        "Host",
    ],
)
def test_ordinary_headers_stay(name: str) -> None:
    assert redactor.headers([(name.encode(), b"value")]) == {name: "value"}


def test_repeated_headers_are_joined() -> None:
    fields = [(b"Accept", b"a"), (b"accept", b"b"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert redactor.headers(fields) == {"Accept": "a, b", "Set-Cookie": REDACTED}


def test_secrets_and_urls_in_ordinary_headers() -> None:
    fields = [(b"Location", b"https://a.test/cb?code=abc&x=1"), (b"X-Echo", SECRET.encode())]
    assert redactor.headers(fields) == {
        "Location": f"https://a.test/cb?code={REDACTED}&x=1",
        "X-Echo": REDACTED,
    }


@pytest.mark.parametrize(
    "key",
    [
        "access_token", "token", "api_key", "apikey", "key", "sig", "signature", "X-Amz-Signature",
        "X-Amz-Security-Token", "code", "client_secret", "password", "auth", "Access_Token", "access%5Ftoken",
        "private_token", "refresh_token", "id_token", "jwt", "token[]", "session_id", "x-goog-signature",
    ],
)  # fmt: skip
def test_threat_31_query_values(key: str) -> None:
    url = f"https://a.test/p?x=1&{key}=s3cr3t%2F;more&y=2#{key}=s3cr3t"
    assert redactor.url(url) == f"https://a.test/p?x=1&{key}={REDACTED}&y=2#{key}={REDACTED}"


def test_ordinary_query_values_stay() -> None:
    url = "https://api.github.com/search?q=a+token+b&state=open&page=2&sort=keys"
    assert redactor.url(url) == url


def test_userinfo_and_secrets_in_paths_go() -> None:
    assert redactor.url(f"https://u:p@a.test/{SECRET}") == f"https://{REDACTED}@a.test/{REDACTED}"


def body(text: str | bytes, kind: str = "application/json", encoding: str = "", *, cut: bool = False) -> str:
    return redactor.body(text.encode() if isinstance(text, str) else text, kind, encoding, cut=cut)


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "s3cr3t", "expires_in": 3600}',
        '{"a": {"refresh_token":"s3cr3t"}}',
        '{"id_token" : "s3cr3t\\"s3cr3t"}',
        '{"client_secret": "s3cr3t',
        '{"SecretAccessKey": "s3cr3t", "SessionToken": "s3cr3t"}',
        '{"body": "{\\"access_token\\": \\"s3cr3t\\"}"}',
        '{"grant_type": "authorization_code", "code": "s3cr3t"}',
        '{"privateKey": "s3cr3t"}',
        "{'password': 's3cr3t'}",
        "<SecretAccessKey>s3cr3t</SecretAccessKey>",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t\n",
        '{"next": "https://a.test/?access_token=s3cr3t"}',
    ],
)
def test_threat_31_token_fields_of_bodies(text: str) -> None:
    masked = body(text)
    assert "s3cr3t" not in masked
    assert REDACTED in masked


def test_threat_31_forms() -> None:
    form = "grant_type=refresh_token&refresh_token=s3cr3t&client_id=me&client_secret=s3;cr3t&code=s3cr3t"
    masked = body(form, "application/x-www-form-urlencoded")
    assert "cr3t" not in masked
    assert "client_id=me" in masked
    multipart = '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\ns3cr3t\r\n--b--'
    assert "s3cr3t" not in body(multipart, "multipart/form-data; boundary=b")


def test_ordinary_bodies_stay() -> None:
    text = '{"login":"octocat","max_tokens":100,"code":"invalid","items":[1,2]}'
    assert body(text) == text


@pytest.mark.parametrize("offset", [PREVIEW - 40, PREVIEW - 20, PREVIEW - 5, PREVIEW - 1])
def test_a_secret_across_the_edge_of_the_preview(offset: int) -> None:
    data = ("x" * offset + SECRET + "y" * 20_000).encode()
    masked = redactor.body(data[: redactor.capture_limit], "text/plain", "", cut=True)
    assert len(masked.encode()) <= PREVIEW
    assert SECRET[:4] not in masked


def test_a_secret_across_the_edge_of_the_capture() -> None:
    data = "\u20ac" * 4000 + SECRET
    raw = data.encode()
    for end in range(len(raw) - len(SECRET) + 4, len(raw)):
        assert SECRET[:4] not in redactor.body(raw[:end], "text/plain", "", cut=True)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
    ],
)
def test_compressed_bodies_are_read_and_masked(encoding: str, compress) -> None:  # type: ignore[no-untyped-def]
    packed = compress(f'{{"login":"octocat","echo":"{SECRET}"}}'.encode())
    assert body(packed, encoding=encoding) == f'{{"login":"octocat","echo":"{REDACTED}"}}'
    for end in range(1, len(packed)):  # cut off anywhere, even inside the value
        assert SECRET[:5] not in redactor.body(packed[:end], "application/json", encoding, cut=True)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_threat_27_a_bomb_costs_what_is_shown(encoding: str, compress) -> None:  # type: ignore[no-untyped-def]
    packed = compress(b"a" * 50_000_000)
    assert len(body(packed[: redactor.capture_limit], encoding=encoding)) <= PREVIEW


def test_what_cannot_be_shown_gets_a_note() -> None:
    assert body(b"\x89PNG\r\n\0\0", "image/png") == "[binary content: image/png]"
    assert body(b"\0\1\2", "") == "[binary content: unknown type]"
    assert body(b"not gzip", encoding="gzip") == "[gzip content]"
    assert body(b"x", encoding="gzip, br") == "[gzip, br content]"
    assert body(b"") == ""


def test_charsets() -> None:
    assert body("é".encode("latin-1"), "text/plain; charset=ISO-8859-1") == "é"
    assert body(SECRET.encode("utf-16"), "text/plain; charset=utf-16") == REDACTED
    assert body(b"\xff", "text/plain; charset=nonsense") == "\ufffd"


@given(st.text(alphabet="\\\"'{}:=&?<token key", max_size=400))
def test_any_text_is_redacted_without_failing(text: str) -> None:
    assert isinstance(body(text), str)


def test_hostile_texts_take_no_time() -> None:
    for text in (
        "\\" * 12_000 + '"',
        '"' + "a" * 12_000,
        '"' * 12_000,
        "a=" * 6_000,
        "<" * 12_000,
        "=" * 12_000,
    ):
        body(text, "text/plain")


def test_threat_31_userinfo_of_urls_anywhere() -> None:
    """As git writes remotes: https://x-access-token:TOKEN@github.com/…"""
    redactor = Redactor(Masker(()))
    remote = "https://x-access-token:ghs_notOursButSecret@github.com/a/b.git"
    said = redactor.headers([(b"Referer", remote.encode()), (b"Host", b"u:ghs_notOursButSecret@h")])
    assert said == {"Referer": "https://[REDACTED]@github.com/a/b.git", "Host": "[REDACTED]@h"}
    body = redactor.body(f'{{"url": "{remote}", "n": 1}}'.encode(), "application/json", "", cut=False)
    assert body == '{"url": "https://[REDACTED]@github.com/a/b.git", "n": 1}'
    assert redactor.text("mail someone@example.test or see https://h.test/@x") == (
        "mail someone@example.test or see https://h.test/@x"
    )
