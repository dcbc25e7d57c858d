"""WebSocket frames on their way from the upstream to the agent, with the run's credentials taken out. Pure.

A message is one text, however many frames it comes in; lengths stay, so the frames' heads pass as they are.
While the end of a fragment may be the beginning of a value, what follows waits with it. Extensions are not
offered to the upstream (see `asked`), so that frames can be read.
"""

from __future__ import annotations

from collections import Counter, deque

from engine.proxy.scrub import Lexicon, Scrubber, scrubbed

# RFC 6455 §5.2
_FIN, _RESERVED, _CONTROL, _MASKED = 0x80, 0x70, 0x08, 0x80
_LENGTHS = {126: 2, 127: 8}  # what the length byte says → bytes of the length that follows


class UnreadableFrames(ValueError):
    """Frames of an extension that nobody agreed on. The text quotes nothing of them."""


class FrameScrubber:
    """feed(): bytes from the upstream, in any pieces. Raises UnreadableFrames."""

    def __init__(self, lexicon: Lexicon, hits: Counter[str]) -> None:
        self._lexicon = lexicon
        self._hits = hits
        self._message = Scrubber(lexicon, hits)
        self._unread = b""  # of a frame's head, or of a control frame
        # places are counted in bytes of messages
        self._fed = self._given = 0
        self._left = 0  # bytes of the current frame that have not come
        self._fin = True
        self._read = _Key()
        self._written = _Key()
        self._waiting: deque[tuple[int, bytes, _Key | None]] = deque()  # what stands between the payloads

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        data = self._unread + data
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._payload(piece, out)
                continue
            if data[at] & _RESERVED:
                raise UnreadableFrames("the upstream sent WebSocket frames of an extension nobody agreed on")
            begin = _payload_begin(data, at)
            size = _payload_size(data, at) if begin <= len(data) else 0
            control = bool(data[at] & _CONTROL)
            if len(data) < begin + (size if control else 0):
                break
            head, fin = data[at:begin], bool(data[at] & _FIN)
            key = _Key(head[-4:] if head[1] & _MASKED else b"", self._fed)
            at = begin
            if control:
                text = scrubbed(key.applied(data[at : at + size], self._fed), self._lexicon, self._hits)
                self._waiting.append((self._fed, head + key.applied(text, self._fed), None))
                self._put(b"", out)
                at += size
                continue
            self._fin, self._left, self._read = fin, size, key
            self._waiting.append((self._fed, head, key))
            self._payload(b"", out)
        self._unread = data[at:]
        return b"".join(out)

    def _payload(self, data: bytes, out: list[bytes]) -> None:
        text = self._message.feed(self._read.applied(data, self._fed))
        self._fed += len(data)
        self._left -= len(data)
        if not self._left and self._fin:
            text += self._message.finish()
        self._put(text, out)

    def _put(self, text: bytes, out: list[bytes]) -> None:
        """Put out the next of the messages' bytes, each frame's behind its head."""
        while True:
            while self._waiting and self._waiting[0][0] == self._given:
                _, head, key = self._waiting.popleft()
                out.append(head)
                self._written = key or self._written
            if not text:
                return
            piece = text[: self._waiting[0][0] - self._given] if self._waiting else text
            out.append(self._written.applied(piece, self._given))
            self._given += len(piece)
            text = text[len(piece) :]


class _Key:
    """A frame's masking key, if it has one, and where its payload begins. Upstreams should have none."""

    def __init__(self, key: bytes = b"", begin: int = 0) -> None:
        self._key = key
        self._begin = begin

    def applied(self, data: bytes, place: int) -> bytes:
        if not self._key:
            return data
        turn = (place - self._begin) % 4
        stream = (self._key[turn:] + self._key[:turn]) * (len(data) // 4 + 1)
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")
        return mixed.to_bytes(len(data), "big")


def _payload_begin(data: bytes, at: int) -> int:
    """Where the payload of the frame at `at` begins; beyond the data when the frame's head is not whole."""
    if at + 1 >= len(data):
        return len(data) + 1
    return at + 2 + _LENGTHS.get(data[at + 1] & 0x7F, 0) + (4 if data[at + 1] & _MASKED else 0)


def _payload_size(data: bytes, at: int) -> int:
    size = data[at + 1] & 0x7F
    length = _LENGTHS.get(size)
    return size if length is None else int.from_bytes(data[at + 2 : at + 2 + length], "big")
