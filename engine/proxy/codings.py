"""Content codings as streams: what a compressed body says, piece by piece, and compressing it again. Pure.

A piece of what was decoded is at most 2 MiB, whatever the ratio, so a bomb costs time and no memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

READABLE = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "identity"})
_PIECE = 64 * 1024
_ZSTD_STEP = 64  # bytes taken at once: zstd cannot be asked for less, and a block of 4 bytes may hold 128 KiB
# gzip cannot reach it (1,032 is its limit); what expands more than this is meant to do harm
_MAX_RATIO = 2048


class BadCoding(ValueError):
    """The body is not in the coding that it says. The text quotes nothing of it."""


class Decoder(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def ended(self) -> bool: ...


class Encoder(Protocol):
    def encode(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes:
        """Everything so far, so that the reader is as far as the writer."""

    def finish(self) -> bytes: ...


class Expansion:
    """What a body has come to so far. taken: its bytes as they came."""

    def __init__(self) -> None:
        self.taken = 0
        self._given = 0

    def given(self, count: int) -> None:
        """Raises BadCoding at a bomb."""
        self._given += count
        if self._given > _MAX_RATIO * (self.taken + 1024):
            raise BadCoding(f"the response expands more than {_MAX_RATIO} times")


class Bounded:
    """A decoder that stops at a bomb."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._expansion = Expansion()

    @property
    def ended(self) -> bool:
        return self._decoder.ended

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._expansion.taken += len(data)
        for piece in self._decoder.decode(data):
            self._expansion.given(len(piece))
            yield piece


def coding(name: str) -> tuple[Bounded, Encoder]:
    """Both ways of one coding of READABLE but "identity". Raises BadCoding for others."""
    match name:
        case "gzip" | "x-gzip":
            decoder: Decoder = _Zlib(31)
            return Bounded(decoder), _ZlibEncoder(31)
        case "deflate":
            return Bounded(_Zlib(15)), _ZlibEncoder(15)
        case "br":
            return Bounded(_Brotli()), _BrotliEncoder()
        case "zstd":
            return Bounded(_Zstd()), _ZstdEncoder()
    raise BadCoding("the response is in a coding that Moat cannot read")


class _Zlib:
    """gzip, one or several members of it; or deflate, which some send without zlib's header."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._first = b""

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._wbits == 15 and len(self._first) < 2:
            self._first += data
            if len(self._first) < 2:
                return
            data = self._first
            if data[0] & 0x0F != 8 or int.from_bytes(data[:2], "big") % 31:  # RFC 1950 §2.2
                self._inflate = zlib.decompressobj(-15)
        try:
            while data:
                if self._inflate.eof:
                    if self._wbits != 31:
                        return  # nothing may follow
                    self._inflate = zlib.decompressobj(31)
                piece = self._inflate.decompress(data, _PIECE)
                if piece:
                    yield piece
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
                if not piece and data == self._inflate.unconsumed_tail:
                    return
        except zlib.error as error:
            raise BadCoding("the response is not in the coding that it says") from error


class _ZlibEncoder:
    def __init__(self, wbits: int) -> None:
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, wbits)

    def encode(self, data: bytes) -> bytes:
        return self._deflate.compress(data)

    def flush(self) -> bytes:
        return self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._deflate.flush()


# Both libraries come with mitmproxy; they are imported when a body in their coding is met.
class _Brotli:
    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]

        self._error: type[Exception] = brotli.error
        self._brotli: Any = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        return bool(self._brotli.is_finished())

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            piece = bytes(self._brotli.process(data, output_buffer_limit=_PIECE))
            while piece or not self._brotli.can_accept_more_data():
                yield piece
                piece = bytes(self._brotli.process(b"", output_buffer_limit=_PIECE))
        except self._error as error:
            raise BadCoding("the response is not in the coding that it says") from error


class _BrotliEncoder:
    def __init__(self) -> None:
        import brotli

        self._brotli: Any = brotli.Compressor(quality=1)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._brotli.process(data))

    def flush(self) -> bytes:
        return bytes(self._brotli.flush())

    def finish(self) -> bytes:
        return bytes(self._brotli.finish())


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._error: type[Exception] = zstandard.ZstdError
        # RFC 9659: a content coding's window is at most 8 MiB
        self._make = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj
        self._zstd = self._make()

    @property
    def ended(self) -> bool:
        return self._zstd.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        try:
            for at in range(0, len(data), _ZSTD_STEP):
                step = data[at : at + _ZSTD_STEP]
                while step:
                    if self._zstd.eof:
                        self._zstd = self._make()
                    if piece := self._zstd.decompress(step):
                        yield piece
                    step = self._zstd.unused_data if self._zstd.eof else b""
        except self._error as error:
            raise BadCoding("the response is not in the coding that it says") from error


class _ZstdEncoder:
    def __init__(self) -> None:
        import zstandard

        self._zstd = zstandard.ZstdCompressor(level=1).compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, data: bytes) -> bytes:
        return self._zstd.compress(data)

    def flush(self) -> bytes:
        return self._zstd.flush(self._block)

    def finish(self) -> bytes:
        return self._zstd.flush()
