"""The supervisor's end of its keeper: questions go out, answers and news come in, both with descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ContainerFailed, RuntimeUnavailable

ASK_TIMEOUT = 30.0  # seconds; each takes milliseconds
_END = 5.0  # seconds that a keeper may take to see that nobody listens any more
# Imported and not run as a file, so that it is compiled only once; its folder stands behind the library.
_BEGIN = "import sys; sys.path.append(sys.argv[2]); from keeper.serve import main; main(int(sys.argv[1]))"
_LONGEST = 64 * 1024  # bytes of a packet
_MOST_FDS = 250
_PYTHONS = ("LD_LIBRARY_PATH", "PYTHONHOME")  # without these some Pythons do not start


class Answer(msgspec.Struct):
    """id: of the question. first: the sandbox's first process. error, errno: it could not be done."""

    id: int
    first: int = 0
    error: str = ""
    errno: int | None = None
    exited: bool = False
    code: int | None = None
    fds: tuple[int, ...] = ()


class Link:
    """Made by `open_link`, in the loop that uses it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._lives: dict[int, asyncio.Future[int | None]] = {}
        self._loop.add_reader(control.fileno(), self._hear)

    async def ask(self, op: str, fds: Sequence[int] = (), **body: object) -> Answer:
        """Raises OSError for what the kernel refuses, ContainerFailed for the rest."""
        self._number += 1
        number = self._number
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._asked[number] = answered
        held = os.memfd_create("question", os.MFD_CLOEXEC)
        try:
            os.write(held, msgspec.json.encode({"id": number, "op": op, **body}))
            os.lseek(held, 0, os.SEEK_SET)
            socket.send_fds(self._control, [b"?"], [held, *fds])
            async with asyncio.timeout(ASK_TIMEOUT):
                answer = await answered
        except (TimeoutError, BrokenPipeError, ConnectionResetError, BlockingIOError) as error:
            raise _gone() from error
        finally:
            os.close(held)
            self._asked.pop(number, None)
        if answer.errno is not None:
            raise OSError(answer.errno, answer.error)
        if answer.error:
            raise ContainerFailed(
                "bubblewrap could not make the sandbox",
                detail=answer.error.removeprefix("bwrap: "),
                remedy="moat doctor says what this system lacks.",
            )
        return answer

    def life(self, number: int) -> asyncio.Future[int | None]:
        """Of the process that the answer of that number told of: its exit code, None if it never began."""
        return self._lives.setdefault(number, self._loop.create_future())

    async def close(self) -> None:
        """The keeper and all that it started end."""
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
        self._fail()
        try:
            await asyncio.to_thread(self._process.wait, _END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _hear(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, _LONGEST, _MOST_FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._loop.remove_reader(self._control.fileno())
            self._fail()
            return
        answer = msgspec.json.decode(data, type=Answer)
        answer.fds = tuple(fds)
        asked = self._asked.get(answer.id)
        if answer.exited:
            life = self.life(answer.id)
            if not life.done():
                life.set_result(answer.code)
            if asked is not None and not asked.done():  # it ended before it could say who it is
                asked.set_result(answer)
        elif asked is not None and not asked.done():
            asked.set_result(answer)
        else:
            for descriptor in answer.fds:
                os.close(descriptor)

    def _fail(self) -> None:
        waiting: list[asyncio.Future[Any]] = [*self._asked.values(), *self._lives.values()]
        for each in waiting:
            if not each.done():
                each.set_exception(_gone())
                each.exception()  # whoever still waits is told; nobody has to


def _gone() -> ContainerFailed:
    return ContainerFailed(
        "the sandbox's keeper has gone, and the sandbox with it", remedy="Start the run again."
    )


def open_link() -> Link:
    """Start a keeper. It and whatever it starts end with this process, however this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.setblocking(False)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BEGIN, str(theirs.fileno()), str(Path(__file__).parent)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd="/",
                env={name: os.environ[name] for name in _PYTHONS if name in os.environ},
            )
        except OSError as error:
            ours.close()
            raise RuntimeUnavailable("the sandbox's keeper cannot be started", detail=str(error)) from error
    return Link(process, ours)


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
