"""Which bodies are searched, and how one is that came compressed. Pure.

Searched are the types that carry text, under whatever name, and others when their beginning reads like
text. Pictures, sound, archives and other binary content pass as they are: nobody reads a token in them,
and a mask would only spoil a checksum.
"""

from __future__ import annotations

import functools
import re

from engine.proxy.codings import BadCoding, coding
from engine.proxy.scrub import Scrubber

_TEXT = re.compile(
    r"text/|multipart/|message/|[\w.+-]+/(?:[\w.-]+\+)?(?:json|xml|yaml|protobuf|cbor)\b"
    r"|application/(?:x-)?(?:grpc|proto|protobuf|connect|msgpack|vnd\.msgpack|ndjson|jsonl|jsonlines|json-seq"
    r"|stream\+json|www-form-urlencoded|javascript|ecmascript|typescript|graphql|yaml|toml|sql|sh|httpd-php"
    r"|pem-file|jose|jwt|problem|mpegurl|git-upload-pack-advertisement|git-receive-pack-advertisement)"
)
_BINARY = re.compile(r"(?:image|audio|video|font)/|application/x-git-[a-z-]+-(?:request|result)\b")
_MAX_UNSURE = 1024 * 1024  # bytes in a coding that may come to nothing yet
_SAMPLE = 1024  # bytes that tell whether something is text
_CONTROLS = bytes((*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)))


@functools.lru_cache(maxsize=256)
def is_text(content_type: str) -> bool | None:
    """None when the beginning of the body must tell."""
    kind = content_type.strip().lower()
    if _TEXT.match(kind):
        return True
    return False if _BINARY.match(kind) else None


def reads_like_text(data: bytes) -> bool:
    sample = data[:_SAMPLE]
    return b"\0" not in sample and (len(sample) - len(sample.translate(None, _CONTROLS))) * 10 <= len(sample)


class PlainBody:
    """A body in no coding. `sniff`: whether its first piece must tell that it is text."""

    def __init__(self, scrubber: Scrubber, *, sniff: bool) -> None:
        self._scrubber = scrubber
        self._sniff = sniff
        self.verbatim = False

    def feed(self, data: bytes) -> bytes:
        if self._sniff and data:
            self._sniff = False
            self.verbatim = not reads_like_text(data)
        return data if self.verbatim else self._scrubber.feed(data)

    def finish(self) -> bytes:
        return self._scrubber.finish()


class CodedBody:
    """A body that is decoded, searched and encoded again; each piece goes on as far as it came. `sniff` as
    in PlainBody: what turns out to be binary passes in the coding that it has.

    Raises BadCoding.
    """

    def __init__(self, scrubber: Scrubber, name: str, *, sniff: bool) -> None:
        self._scrubber = scrubber
        self._sniff = sniff
        self._unsure = b""  # what came before anything could be decoded
        self._decoder, self._encoder = coding(name)
        self._begun = False
        self.verbatim = False

    def feed(self, data: bytes) -> bytes:
        if self.verbatim:
            return data
        if self._sniff:
            self._unsure += data
        out = []
        for piece in self._decoder.decode(data):
            if self._sniff:
                self._sniff = False
                if not reads_like_text(piece):
                    self.verbatim = True
                    return self._unsure
            if scrubbed := self._scrubber.feed(piece):
                self._begun = True
                out.append(self._encoder.encode(scrubbed))
        if self._sniff and len(self._unsure) > _MAX_UNSURE:
            raise BadCoding("the response goes on and on without saying anything")
        if out:
            out.append(self._encoder.flush())
        return b"".join(out)

    def finish(self) -> bytes:
        """A body that ended in the middle stays one: it gets no proper end."""
        if self.verbatim:
            return b""
        rest = self._scrubber.finish()
        if not self._decoder.ended:
            return self._encoder.encode(rest) + self._encoder.flush() if rest or self._begun else b""
        return self._encoder.encode(rest) + self._encoder.finish()
