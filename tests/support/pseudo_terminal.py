"""A program on a pseudo-terminal of its own: typed to and watched as by a person."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping


class Terminal:
    """A process whose stdin, stdout, stderr and controlling terminal are one pseudo-terminal."""

    def __init__(
        self, command: list[str], env: Mapping[str, str] = os.environ, size: tuple[int, int] = (24, 80)
    ) -> None:
        """size: height, width."""
        self.fd, slave = pty.openpty()
        self.resize(*size)
        take = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
            " os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", take, *command],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**env, "TERM": "xterm"},
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def until(self, text: bytes, seconds: float = 20) -> bytes:
        """Wait until it has shown `text`, since the last `forget`."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come; came: {self.seen[-2000:]!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += self._read()
        return self.seen

    def resize(self, height: int, width: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def echoes(self) -> bool:
        """Whether it is as a shell left it, and not raw."""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, data: bytes) -> None:
        os.write(self.fd, data)

    def forget(self) -> None:
        self.seen = b""

    def end(self, again: bytes = b"", seconds: float = 20) -> int:
        """Everything until the process ends, and its exit code.

        again: typed over and over meanwhile; an interrupt that comes just before Python's read is only
        noticed with the next one.
        """
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if not select.select([self.fd], [], [], 0.2)[0]:
                if self.process.poll() is not None:
                    break
                self.type(again)
                continue
            data = self._read()
            if not data:
                break
            self.seen += data
        return self.process.wait(timeout=10)

    def close(self) -> None:
        os.close(self.fd)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)

    def _read(self) -> bytes:
        try:
            return os.read(self.fd, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            return b""
