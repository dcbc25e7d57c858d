"""A supervisor in a process of its own, so that agents outlive a closed or crashed screen.

The request crosses on the child's standard input and the news comes back on its standard output, in JSON
lines, because both may hold what must not stand in argv or a file.

    parent ──{home, request}──▶ python -m engine.run.detached ──{notice} … {run_id} or {error …}──▶ parent
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine import errors
from engine.errors import ApprovalNeeded, MoatError, RunStateError
from engine.events import RunInfo
from engine.home import Home
from engine.loop import run_in_loop
from engine.run.metadata import read_metadata
from engine.run.request import RunRequest
from engine.run.terminals.terminal import AgentIO

_GIVE_UP = 15.0  # seconds a supervisor may take to end a run that is starting


class Order(msgspec.Struct, frozen=True):
    home: str
    request: RunRequest


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """run_id when the agent runs or has ended; else the error that kept it from running.

    notice: what is said on the way there; then nothing else is set, and more comes.
    """

    notice: str = ""
    run_id: str = ""
    error: str = ""
    what: str = ""
    detail: str = ""
    remedy: str = ""
    asks: tuple[str, ...] = ()


async def spawn(
    home: Home, request: RunRequest, timeout: float, notice: Callable[[str], None] = lambda line: None
) -> RunInfo:
    """timeout: seconds without any news."""
    order = msgspec.json.encode(Order(home=str(home.root), request=_absolute(request)))
    # Not asyncio's own: its transport kills the child when this process's loop closes.
    child = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a millisecond; hearing from it is awaited
        # -P: never import from the working directory, which may be an agent's workspace.
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C or a hang-up of the parent's terminal is not the child's
        cwd="/",
    )
    loop = asyncio.get_running_loop()
    patience = asyncio.timeout(timeout)

    def heard(text: str) -> None:
        if patience.when() is not None and not patience.expired():
            patience.reschedule(loop.time() + timeout)
        notice(text)

    def heard_there(text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(heard, text)

    hearing = asyncio.ensure_future(asyncio.to_thread(_tell_and_hear, child, order, heard_there))
    try:
        async with patience:
            line = await asyncio.shield(hearing)
    except asyncio.CancelledError:  # a ctrl-c: nobody would learn of the run
        await _give_up(child, hearing)
        raise
    except TimeoutError as error:
        await _give_up(child, hearing)
        raise RunStateError(
            f"the run did not start within {timeout:g} seconds",
            remedy="moat doctor says whether the Docker engine answers.",
        ) from error
    try:
        news = msgspec.json.decode(line, type=News)
    except (
        msgspec.MsgspecError,
        RecursionError,
    ) as error:  # nothing, or the beginning of what it wanted to say
        raise RunStateError(
            "the run's supervisor died while starting", remedy="moat doctor looks for the cause."
        ) from error
    if news.error:
        raise _rebuilt(news)
    return read_metadata(home, news.run_id)


async def _give_up(child: subprocess.Popen[bytes], hearing: asyncio.Future[bytes]) -> None:
    """End the supervisor, which ends its run and closes the pipe; by force when it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        done, _ = await asyncio.wait({hearing}, timeout=_GIVE_UP)
        if done:
            return


def _tell_and_hear(child: subprocess.Popen[bytes], order: bytes, heard: Callable[[str], None]) -> bytes:
    """Hand over the order and wait for the line of news that settles it; b"" when the child died before it
    had any. heard: gets each notice that comes before.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdout:
        try:
            with child.stdin:
                child.stdin.write(order)
        except BrokenPipeError:
            pass
        while notice := _notice(line := child.stdout.readline()):
            heard(notice)
    child.wait()  # at once: it left its work to a child of its own
    return line


def _notice(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=News).notice
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _absolute(request: RunRequest) -> RunRequest:
    """The child works in another directory, so paths that were meant from here are made whole."""
    return msgspec.structs.replace(
        request,
        workspace=os.path.abspath(os.path.expanduser(request.workspace)),
        upstream_ca=os.path.abspath(os.path.expanduser(request.upstream_ca)) if request.upstream_ca else "",
        rootfs=os.path.abspath(os.path.expanduser(request.rootfs)) if request.rootfs else "",
    )


def _rebuilt(news: News) -> MoatError:
    if news.error == ApprovalNeeded.__name__:
        return ApprovalNeeded(news.what, asks=news.asks, remedy=news.remedy)
    kind = getattr(errors, news.error, MoatError)
    try:
        return kind(news.what, detail=news.detail, remedy=news.remedy)
    except TypeError:  # wants more than crossed, and its text already says it
        return MoatError(news.what, detail=news.detail, remedy=news.remedy)


async def _supervise(order: Order) -> None:
    from engine.run.lifecycle import run_attached

    told = False

    def send(news: News) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone; the run is in every list
            os.write(1, msgspec.json.encode(news) + b"\n")

    def notice(line: str) -> None:
        if not told and line:
            send(News(notice=line))

    def tell(news: News) -> None:
        nonlocal told
        if not told:
            told = True
            send(news)
            _let_go_of_parent()

    try:
        info = await run_attached(
            Home(Path(order.home)),
            order.request,
            AgentIO(),
            notice=notice,
            on_running=lambda info: tell(News(run_id=info.id)),
        )
        tell(News(run_id=info.id))
    except MoatError as error:
        asks = error.asks if isinstance(error, ApprovalNeeded) else ()
        tell(
            News(
                error=type(error).__name__,
                what=error.what,
                detail=error.detail,
                remedy=error.remedy,
                asks=asks,
            )
        )


def _let_go_of_parent() -> None:
    """Close the pipe, so that nobody waits for this process's end by reading it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if os.fork():
        # The supervisor becomes init's child, so that a screen that stays open for days has none to reap.
        os._exit(0)
    run_in_loop(_supervise(order))


if __name__ == "__main__":
    main()
