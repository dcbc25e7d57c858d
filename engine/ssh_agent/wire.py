"""The SSH wire's plain types (RFC 4251 §5), read so that nothing is left over and nothing is made up."""

from __future__ import annotations

MAX_MESSAGE = 256 * 1024  # bytes; what OpenSSH's agent takes


class Malformed(ValueError):
    """Not what the protocol says must stand there."""


class Reader:
    """Take values off the front of `data`. Every method raises Malformed when they are not there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        return self.byte() != 0

    def uint32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        return self._take(self.uint32())

    def text(self) -> str:
        try:
            return self.string().decode("ascii")
        except UnicodeDecodeError as error:
            raise Malformed("a name that is not ASCII") from error

    def end(self) -> None:
        if self._at != len(self._data):
            raise Malformed("bytes after the end")

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise Malformed("the message is cut short")
        self._at += count
        return taken


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def uint32(number: int) -> bytes:
    return number.to_bytes(4, "big")
