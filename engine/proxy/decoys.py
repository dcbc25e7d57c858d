"""Finds a run's decoys in what its agent sends, in every spelling that responses are searched for. Pure.

    decoys = Decoys(spec.decoys)
    decoys.in_head(head)               the name of a decoy that the head holds, "" for none
    decoys.in_host(host)               the same for a name that is asked for before any request
    watch = decoys.watch(fields, …)    for the rest of an admitted request

What passes a watch is unchanged and never late: only an end that is some way into a value is held back,
until it turns out to be one or not. The first bytes of a value that came by themselves may have gone on by
then; what makes the value one has not.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from engine.proxy.codings import READABLE, BadCoding, Bounded, Expansion, coding
from engine.proxy.decision import RequestHead
from engine.proxy.inject import HeaderList
from engine.proxy.needles import Needles
from engine.proxy.scrub import Lexicon, Scrubber, scrubbed
from engine.proxy.scrub_frames import FrameScrubber, UnreadableFrames
from engine.proxy.spec import Decoy

# Bytes of a value that are no reason yet to hold anything back: in a stream whose sender waits for an
# answer before it goes on, nearly every end looks like the beginning of some form of some value.
_INNOCENT = 8
_MAX_HELD = 1024 * 1024  # bytes of a coded body that may wait for what they turn out to say
_MAX_CODINGS = 3
# How files begin that clients send without saying in which coding they are (RFC 1952, RFC 8878).
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LONGEST_MAGIC = max(map(len, _MAGIC))
_NO_CODINGS = frozenset({"", "identity"})


class DecoySeen(Exception):
    """What came holds a decoy, or comes after one; nothing of it may leave."""


class Decoys:
    """One per run."""

    def __init__(self, decoys: Iterable[Decoy]) -> None:
        values = [(decoy.name, value) for decoy in decoys for value in decoy.values]
        self._lexicon = Lexicon(Needles(values))
        # Host names have no case, and are carried in labels.
        self._in_names = Lexicon(Needles((name, form) for name, value in values for form in _in_name(value)))

    def in_head(self, head: RequestHead) -> str:
        texts = (head.method, head.path, *_written(head.target))
        data = b"\n".join((*(text.encode("latin-1", "replace") for text in texts), *_fields(head.headers)))
        return _first(data, self._lexicon)

    def in_hosts(self, head: RequestHead) -> str:
        """As `in_host`, for every place where the head names one."""
        connect = head.connect.host if head.connect is not None else ""
        named = {*head.hosts, head.authority or "", connect, head.sni or "", *(head.target or ())[1:]}
        return next(filter(None, map(self.in_host, named)), "")

    def in_host(self, host: str) -> str:
        data = host.replace(".", "").encode("latin-1", "replace")
        return _first(data, self._lexicon) or _first(data.lower(), self._in_names)

    def watch(
        self, fields: HeaderList, sprung: Callable[[str], None], frozen: Callable[[], bool]
    ) -> RequestWatch:
        """fields: of the request. sprung: told the decoy's name, once, before DecoySeen is raised.
        frozen: whether another request has sprung one, so that nothing of this one may go on either.
        """
        return RequestWatch(self._lexicon, fields, sprung, frozen)


class RequestWatch:
    """body() for each piece and end() behind the last; or frames() for each piece after a switch of
    protocols. They return what may go on now, perhaps nothing, and raise DecoySeen, as trailers() does.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        fields: HeaderList,
        sprung: Callable[[str], None],
        frozen: Callable[[], bool],
    ) -> None:
        self._lexicon = lexicon
        self._sprung = sprung
        self._frozen = frozen
        self._hits: Counter[str] = Counter()
        self._plain = Scrubber(lexicon, self._hits)
        self._decoded = Scrubber(lexicon, self._hits)
        self._held = b""
        self._begin = b""  # of a body whose coding is not known yet
        self._decoders = _decoders(_values(fields, b"content-encoding"))
        self._expansion = Expansion()
        self._sniffs = not self._decoders
        self._frames: FrameScrubber | None = FrameScrubber(lexicon, self._hits)

    def body(self, chunk: bytes) -> bytes:
        self._held += chunk
        self._plain.feed(chunk)
        self._decode(chunk)
        self._check()
        if self._decoded.held >= _INNOCENT and len(self._held) <= _MAX_HELD:
            return b""
        waits = self._plain.held
        end = max(0, len(self._held) - waits) if waits >= _INNOCENT else len(self._held)
        out, self._held = self._held[:end], self._held[end:]
        return out

    def end(self) -> bytes:
        self._sniff(whole=True)
        self._plain.finish()
        self._decoded.finish()
        self._check()
        out, self._held = self._held, b""
        return out

    def last(self, trailers: HeaderList) -> bytes:
        """end(), where the trailers are known by then."""
        self.trailers(trailers)
        return self.end()

    def trailers(self, fields: HeaderList) -> None:
        scrubbed(b"\n".join(_fields(fields)), self._lexicon, self._hits)
        self._check()

    def frames(self, chunk: bytes) -> bytes:
        """What goes on is whole frames' heads and as much of their payloads as is known to be clean."""
        out = chunk
        if self._frames is not None:
            try:
                out = self._frames.feed(chunk)
            except UnreadableFrames:  # the upstream was offered no extension, and should not read them either
                self._frames = None
        self._check()
        return out

    def _check(self) -> None:
        if self._hits:
            self._sprung(next(iter(self._hits)))
        elif not self._frozen():
            return
        raise DecoySeen

    def _decode(self, chunk: bytes) -> None:
        if self._sniffs:
            self._begin += chunk
            self._sniff()
        elif self._decoders:
            self._read(chunk)

    def _sniff(self, *, whole: bool = False) -> None:
        begin = self._begin
        if not self._sniffs or (len(begin) < _LONGEST_MAGIC and not whole):
            return
        self._sniffs, self._begin = False, b""
        self._decoders = [
            decoder
            for magic, name in _MAGIC.items()
            if begin.startswith(magic)
            for decoder in _decoders([name.encode()])
        ]
        self._read(begin)

    def _read(self, data: bytes) -> None:
        self._expansion.taken += len(data)
        try:
            for piece in _through(self._decoders, data, self._expansion) if self._decoders else ():
                self._decoded.feed(piece)
        except BadCoding:
            # it is not what it says: its bytes as they are go on being searched, and nothing waits for more
            self._decoders = []
            self._decoded.finish()


def _decoders(said: Iterable[bytes]) -> list[Bounded]:
    """What undoes the codings of Content-Encoding, the last one first; none where one cannot be read."""
    names = [
        name for value in said for part in value.split(b",") if (name := _coding(part)) not in _NO_CODINGS
    ]
    if len(names) > _MAX_CODINGS or not READABLE.issuperset(names):
        return []
    return [coding(name)[0] for name in reversed(names)]


def _coding(part: bytes) -> str:
    return part.strip().lower().decode("latin-1")


def _through(decoders: list[Bounded], data: bytes, expansion: Expansion) -> Iterator[bytes]:
    """expansion: of all codings together, or a coding within another would multiply what each may do."""
    if not decoders:
        yield data
        return
    for piece in decoders[0].decode(data):
        expansion.given(len(piece))
        yield from _through(decoders[1:], piece, expansion)


def _first(data: bytes, lexicon: Lexicon) -> str:
    if not lexicon.holds(data):
        return ""
    hits: Counter[str] = Counter()
    scrubbed(data, lexicon, hits)
    return next(iter(hits), "")


def _in_name(value: str) -> Iterator[str]:
    """How a value stands in a host name: without case, or in base32 at any alignment (RFC 4648 §6)."""
    yield value.lower()
    raw = value.encode("utf-8")
    for shift in range(5):
        coded = base64.b32encode(b"\0" * shift + raw).decode("ascii").lower()
        yield coded[-(-shift * 8 // 5) : (shift + len(raw)) * 8 // 5]


def _fields(fields: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, value in fields:
        yield name
        yield value


def _values(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name.lower() == wanted]


def _written(target: tuple[str, str] | None) -> tuple[str, ...]:
    return target or ()
