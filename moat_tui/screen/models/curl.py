"""A recorded request as a curl command that can be pasted into a shell, without any credential.

The proxy had already redacted what it recorded; what is still in the headers by another name is left
out here too, because a command that is pasted ends in a shell's history.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from moat_tui.screen.models.visible import UNSAFE

if TYPE_CHECKING:
    from engine import RequestRecord

REDACTED = "[REDACTED]"
_SECRET_NAME = re.compile(r"auth|token|cookie|secret|key|session|password|credential", re.IGNORECASE)
_OURS = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})
_BODY_LIMIT = 8 * 1024  # bytes of a recorded body; one that long may have been cut


def as_curl(record: RequestRecord) -> str:
    """The command, with comment lines before it for what it cannot carry."""
    notes: list[str] = []
    parts = ["curl", "-X", record.method, record.url]
    for name, value in record.request_headers.items():
        if name.lower() in _OURS:
            continue
        if REDACTED in value or _SECRET_NAME.search(name):
            notes.append(f"# {name} is left out: its value is not shown.")
        else:
            parts += ["-H", f"{name}: {value}"]
    if record.grant:
        notes.append(f"# Inside the run, Moat attached the grant {record.grant}; here you need your own.")
    if REDACTED in record.url:
        notes.append(f"# Put your own value where the URL says {REDACTED}.")
    if record.request_body:
        parts += ["--data-raw", record.request_body]
        if len(record.request_body.encode("utf-8", "replace")) >= _BODY_LIMIT:
            notes.append("# The body was recorded up to 8 KiB and may be longer.")
    return "\n".join([*(_plain(note) for note in notes), " ".join(_quote(part) for part in parts)])


def _plain(note: str) -> str:
    """On one line, so that a header's name cannot end the comment and begin a command."""
    return UNSAFE.sub("?", note)


def _quote(part: str) -> str:
    """For a POSIX shell; control characters, which a paste could act on, as bash's $'…' escapes."""
    if UNSAFE.search(part) is None:
        return shlex.quote(part)
    text = part.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + UNSAFE.sub(lambda match: _escape(ord(match.group())), text) + "'"


def _escape(code: int) -> str:
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
