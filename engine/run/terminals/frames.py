"""The frames that a joined terminal and a supervisor exchange on the control socket, once the line that
asked for it is answered. Pure.

    byte kind ‖ u32 big-endian length ‖ payload

Input has a window, so that what a program does not read yet never stands in the way of a signal, a resize
or the news that the terminal has left: a terminal sends at most WINDOW bytes that were not TAKEN yet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PIECE = 64 * 1024  # bytes in one frame, at most
WINDOW = 4 * PIECE  # bytes of input on their way

_HEAD = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")
_NUMBER = struct.Struct(">i")


class Kind(IntEnum):
    INPUT = 0  # bytes for the program
    END_OF_INPUT = 1
    RESIZE = 2  # u16 height, u16 width, in characters
    SIGNAL = 3  # a name: "INT", "QUIT", "TERM", "HUP"
    STDOUT = 16
    STDERR = 17
    TAKEN = 18  # i32: bytes of input that the program has taken
    EXIT = 19  # i32: the program's exit code; the last frame
    FAILURE = 20  # JSON list of what, detail, remedy; the last frame


class Frame(NamedTuple):
    kind: Kind
    payload: bytes = b""


class NotAFrame(ValueError):
    """What came is not in this format."""


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(payload)) + payload


def number(value: int) -> bytes:
    return _NUMBER.pack(value)


def number_of(frame: Frame) -> int:
    try:
        value: int = _NUMBER.unpack(frame.payload)[0]
    except struct.error as error:
        raise NotAFrame(f"{frame.kind.name} without a number") from error
    return value


def size(height: int, width: int) -> bytes:
    return _SIZE.pack(_side(height), _side(width))


def size_of(frame: Frame) -> tuple[int, int]:
    """(height, width)"""
    try:
        height, width = _SIZE.unpack(frame.payload)
    except struct.error as error:
        raise NotAFrame("RESIZE without a size") from error
    return height, width


def _side(value: int) -> int:
    return max(0, min(value, 0xFFFF))


class Decoder:
    """Bytes in, however they were cut; whole frames out."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises NotAFrame; nothing that follows can be read then."""
        self._pending += data
        at = 0
        try:
            while len(self._pending) - at >= _HEAD.size:
                kind, length = _HEAD.unpack_from(self._pending, at)
                if length > PIECE:
                    raise NotAFrame(f"a frame of {length} bytes")
                end = at + _HEAD.size + length
                if len(self._pending) < end:
                    break
                payload = self._pending[at + _HEAD.size : end]
                at = end
                yield Frame(_kind(kind), payload)
        finally:
            self._pending = self._pending[at:]


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError as error:
        raise NotAFrame(f"a frame of kind {value}") from error
