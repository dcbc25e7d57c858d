"""What may be written down about a request: names and shapes stay, credentials go. Pure.

Two nets: what is known to be a credential by its place (header names, query keys, token fields of JSON
and forms), and what is known by its value (mask.Masker). Both apply to everything in a RequestRecord.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
import zlib
from collections.abc import Iterable

from engine.proxy.mask import REDACTED, Masker

PREVIEW = 8 * 1024  # bytes of a body in the log (formats.md, "Network files")
_MAX_HEADER = 4 * 1024
_MAX_URL = 8 * 1024
_KNOWN_FIELDS = 1024
_KNOWN_FIELD = 512  # bytes of name and value together

_HEADERS = frozenset({
    "authorization", "cookie", "cookie2", "set-cookie", "set-cookie2", "x-api-key", "private-token",
    "api-key", "x-auth", "authentication-info", "x-amz-content-credentials",
})  # fmt: skip
_HEADER_WORDS = re.compile(
    r"(?:^|[-_])(?:x?auth|authorization|token|secrets?|credentials?|password|passwd|api[-_]?key|key|session|jwt|"
    r"cookie|signature|assertion)(?:$|[-_])"
)
_PLAIN_HEADERS = re.compile(
    r"(?:x-ratelimit|ratelimit|anthropic-ratelimit|sec-websocket|access-control|x-token-limit|cache|public-key"
    r"|surrogate|idempotency|www-authenticate|proxy-authenticate-)"
)
_QUERY_KEYS = (
    r"[\w.-]*token|[\w.-]*secret|[\w.-]*passw(?:or)?d|pwd|pass|passphrase"
    r"|[\w.-]*api[_-]?key|[\w.-]*access[_-]?key(?:[_-]?id)?|private[_-]?key|key|subscription-key"
    r"|x-(?:amz|goog)-(?:signature|credential)|awsaccesskeyid|googleaccessid|sig|signature|hmac"
    r"|auth|authorization|bearer|jwt|code|code_verifier|device_code|assertion|client_assertion"
    r"|saml(?:request|response)|credentials?|session(?:[_-]?id)?|sid|otp"
)
_QUERY_KEY = re.compile(_QUERY_KEYS, re.IGNORECASE)
# key=value of a URL's query or a form: the value runs to the next &, whatever else is in it
_URL_PAIR = re.compile(r"(?P<key>(?:^|(?<=[?&;#]))[^=&;?#\s]{1,100})=(?P<value>[^&#\s]*)")
# the same inside other text, where a quote or bracket ends the URL
_TEXT_PAIR = re.compile(
    r"""(?P<key>(?:^|(?<=[?&;#\s"'(]))[^=&;?#\s"'(<>]{1,100})=(?P<value>[^&;#\s"'<>\\)]*)"""
)
_JSON_KEYS = (
    r"[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential"
    r"|credentials|assertion|authorization|code_verifier|device_code|session[_-]?id|jwt|cookie|signature)"
)
_JSON_KEY = re.compile(_JSON_KEYS, re.IGNORECASE)
# Every one of _JSON_KEYS holds one of these: a text without them is not looked at any closer.
_JSON_WORDS = (
    "token", "secret", "passw", "passphrase", "credential", "assertion", "authorization", "code_verifier",
    "device_code", "jwt", "cookie", "signature", "sessionid", "session_id", "session-id",
    *(f"{kind}{between}key" for kind in ("api", "access", "private") for between in ("", "_", "-")),
)  # fmt: skip
# "key": "value", also inside a JSON string (\"key\": \"value\"). Only the first quote is taken, so that every
# other one is tried as a first one too.
_JSON_HEAD = re.compile(r"""(?P<q>(?<!\\)\\{0,8}["'])(?=(?P<key>[\w.-]+)(?P=q)(?P<gap>\s*:\s*)(?P=q))""")
_JSON_CODE = re.compile(
    r"""(?P<head>"code"\s*:\s*")(?P<value>[^"\\]*(?:\\.[^"\\]*)*)(?P<end>"|\\?\Z)""", re.IGNORECASE
)
_MULTIPART = re.compile(
    rf"""(?P<head>name="(?:{_QUERY_KEYS})"[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)(?P<value>[^\r\n]*)""",
    re.IGNORECASE,
)
_XML = re.compile(
    rf"(?P<head><(?:\w+:)?(?:{_JSON_KEYS})(?:\s[^>]*)?>)(?P<value>[^<]*)(?P<end><|\Z)", re.IGNORECASE
)
_PRIVATE_KEY = re.compile(
    r"(?P<head>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(?P<end>-----END|\Z)", re.DOTALL
)
_CHARSET = re.compile(
    r"""charset\s*=\s*["']?(utf-?8|utf-?16(?:le|be)?|utf-?32(?:le|be)?|us-ascii|ascii|latin-?1|iso-8859-\d{1,2}"""
    r"""|windows-125\d|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|shift_jis|koi8-[ru])\b""",
    re.IGNORECASE,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_USERINFO = re.compile(r"(?:(?<=://)|\A)[^/?#@]*@")  # a CONNECT's target has no scheme before it
_USERINFO_IN_TEXT = re.compile(r"""(?<=://)[^\s/?#@"'<>\\]*@""")
# Whatever moves a cursor, starts an escape or turns a line round must not lie in a log for somebody's
# terminal: C0, DEL, C1, line separators and the bidirectional controls.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NOT_URL = re.compile(r"[^\x21-\x7e]")


def mask_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without any spelling of `secrets`; for a run's console lines."""
    return _masker(secrets).mask(text)


@functools.lru_cache(maxsize=8)
def _masker(secrets: tuple[str, ...]) -> Masker:
    return Masker(secrets)


class Redactor:
    """Bound to one run: its credential header names and its credentials' values."""

    def __init__(self, masker: Masker, headers: Iterable[str] = ()) -> None:
        self.masker = masker
        self._headers = frozenset(name.lower() for name in headers)
        # a client sends most of its fields again with each request; credentials' fields are not remembered
        self._known: dict[tuple[bytes, bytes], tuple[str, str]] = {}

    def learn(self, values: tuple[str, ...]) -> None:
        """Blot these out too from now on (see Masker)."""
        self.masker.learn(values)
        self._known.clear()

    @property
    def capture_limit(self) -> int:
        """Bytes to capture: the preview, and enough beyond it that no value is cut unseen. A character of a
        value takes at most 4 bytes in any charset that is decoded here.
        """
        return PREVIEW + max(4096, 4 * self.masker.longest)

    def headers(self, fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """Repeated names are joined by a comma, under the spelling that came first."""
        spelling: dict[str, str] = {}
        out: dict[str, str] = {}
        for field in fields:
            name, value = self._known.get(field) or self._field(*field)
            key = spelling.setdefault(name.lower(), name)
            if key not in out:
                out[key] = value
            elif out[key] != REDACTED:
                out[key] = f"{out[key]}, {value}"[:_MAX_HEADER]
        return out

    def _field(self, raw_name: bytes, raw_value: bytes) -> tuple[str, str]:
        name = _STEERING.sub(_spelled_out, self.masker.mask(raw_name.decode("latin-1")))
        if self._is_secret(name.lower()):
            return name, REDACTED
        text = raw_value.decode("latin-1")
        value = (self.url(text) if name.lower() == "host" else self.text(text))[:_MAX_HEADER]
        if len(raw_name) + len(raw_value) < _KNOWN_FIELD:
            if len(self._known) >= _KNOWN_FIELDS:
                self._known.clear()
            self._known[raw_name, raw_value] = (name, value)
        return name, value

    def url(self, text: str) -> str:
        """Userinfo and token-bearing values of the query and fragment go; what no URL holds is encoded."""
        text = _USERINFO.sub(f"{REDACTED}@", self.masker.mask(text), count=1)
        return _NOT_URL.sub(_percent, _URL_PAIR.sub(_keep_key, text))[:_MAX_URL]

    def text(self, text: str) -> str:
        """One line of anything: userinfo and key=value pairs of URLs in it (Location, Referer), and known
        values.
        """
        text = _USERINFO_IN_TEXT.sub(f"{REDACTED}@", self.masker.mask(text))
        return _STEERING.sub(_spelled_out, _TEXT_PAIR.sub(_keep_key, text) if "=" in text else text)

    def body(self, data: bytes, content_type: str, encoding: str, *, cut: bool) -> str:
        """At most 8 KiB of text. `data` is the captured beginning, `cut` whether the body went on."""
        if not data:
            return ""
        coding = encoding.strip().lower()
        if coding not in ("", "identity"):
            decoded = _decompress(data, coding, self.capture_limit)
            if decoded is None:
                return f"[{_safe(coding)} content]"
            data, cut = decoded, True  # where decompression stopped is not where a value ends
        if _is_binary(data, content_type):
            return f"[binary content: {_safe(content_type.split(';')[0].strip()) or 'unknown type'}]"
        text = data.decode(_charset(content_type), "replace")
        text = self.masker.mask(text, cut=cut)
        text = _tokens(text, content_type)
        return _truncate(text)

    def _is_secret(self, name: str) -> bool:
        if name in self._headers or name in _HEADERS:
            return True
        if name.startswith("proxy-") and name != "proxy-connection":
            return True
        return bool(_HEADER_WORDS.search(name)) and not _PLAIN_HEADERS.match(name)


def _keep_key(match: re.Match[str]) -> str:
    """The pair with its value gone, if its key, percent-decoded and without `[…]`, names a credential."""
    key = urllib.parse.unquote(match["key"]).partition("[")[0]
    if not match["value"] or not _QUERY_KEY.fullmatch(key):
        return match[0]
    return f"{match['key']}={REDACTED}"


def _spelled_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _percent(match: re.Match[str]) -> str:
    """A URL's bytes are read as Latin-1 here, so one character is one byte of it."""
    code = ord(match[0])
    return f"%{code:02X}" if code < 0x100 else urllib.parse.quote(match[0], errors="replace")


def _keep_head(match: re.Match[str]) -> str:
    end = match.groupdict().get("end") or ""
    return f"{match['head']}{REDACTED}{end}"


def _tokens(text: str, content_type: str) -> str:
    kind = content_type.lower()
    if "@" in text:
        text = _USERINFO_IN_TEXT.sub(f"{REDACTED}@", text)
    text = _json_values(text)
    if "PRIVATE KEY-----" in text:
        text = _PRIVATE_KEY.sub(_keep_head, text)
    if "grant_type" in text:
        text = _JSON_CODE.sub(_keep_head, text)
    if "<" in text:
        text = _XML.sub(_keep_head, text)
    if "multipart/" in kind:
        text = _MULTIPART.sub(_keep_head, text)
    if "=" not in text:
        return text
    pair = _URL_PAIR if "x-www-form-urlencoded" in kind else _TEXT_PAIR
    return pair.sub(_keep_key, text)


def _json_values(text: str) -> str:
    """Without the values of keys that name credentials, whether they end or were cut off in the middle."""
    if text.isascii():  # else letters that only look different may be the same
        lowered = text.lower()
        if not any(word in lowered for word in _JSON_WORDS):
            return text
    out: list[str] = []
    done = after = 0
    for head in _JSON_HEAD.finditer(text):
        if head.start() < after or not _names_credential(head["key"]):
            continue
        quote = head["q"]
        begin = head.end() + len(head["key"]) + len(quote) + len(head["gap"]) + len(quote)
        end = begin
        while (end := text.find(quote, end)) >= 0 and text[end - 1] == "\\":
            end += 1
        out += (text[done:begin], REDACTED)
        done = end if end >= 0 else len(text)
        after = done + len(quote)
    return "".join((*out, text[done:])) if out else text


@functools.lru_cache(maxsize=4096)
def _names_credential(key: str) -> bool:
    return _JSON_KEY.fullmatch(key) is not None


def _truncate(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= PREVIEW else raw[:PREVIEW].decode("utf-8", "ignore")


def _safe(text: str) -> str:
    return re.sub(r"[^\w/+.;=, -]", "", text)[:60]


def _charset(content_type: str) -> str:
    match = _CHARSET.search(content_type)
    return match[1] if match else "utf-8"


def _is_binary(data: bytes, content_type: str) -> bool:
    kind = content_type.lower()
    if re.match(r"\s*(?:image|audio|video|font)/(?!svg)", kind):
        return True
    if "utf-16" in kind or "utf-32" in kind:
        return False
    sample = data[:1024]
    controls = len(_CONTROLS.findall(sample.decode("latin-1")))
    return b"\0" in sample or controls * 10 > len(sample)


def _decompress(data: bytes, coding: str, limit: int) -> bytes | None:
    """Up to `limit` bytes of the beginning; None for a coding that is unknown or data that is not in it.

    Bounded whatever the ratio: a bomb costs `limit` bytes.
    """
    try:
        if coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(wbits=31).decompress(data, limit)
        if coding == "deflate":
            try:
                return zlib.decompressobj().decompress(data, limit)
            except zlib.error:
                return zlib.decompressobj(wbits=-15).decompress(data, limit)
        if coding == "br":
            return _brotli(data, limit)
        if coding == "zstd":
            return _zstd(data, limit)
    except zlib.error:
        return None
    return None


# Both come with mitmproxy; imported when a body in that coding is met, not at start-up.
def _brotli(data: bytes, limit: int) -> bytes | None:
    import brotli  # type: ignore[import-untyped]

    try:
        return bytes(brotli.Decompressor().process(data, output_buffer_limit=limit))[:limit]
    except brotli.error:
        return None


def _zstd(data: bytes, limit: int) -> bytes | None:
    import zstandard

    try:
        # RFC 9659: a content coding's window is at most 8 MiB
        reader = zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(data)
        return reader.read(limit)
    except zstandard.ZstdError:
        return None
