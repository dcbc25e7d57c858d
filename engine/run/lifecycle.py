"""Acting on runs: start, stop, destroy, and clean up after those that died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from engine.errors import HomeError, MoatError, RunStateError, RuntimeUnavailable
from engine.events import ControlRequest, RunInfo
from engine.home import Home
from engine.run.control.control import ask
from engine.run.metadata import read_metadata, supervisor_alive
from engine.run.request import RunRequest
from engine.run.terminals.terminal import AgentIO

if TYPE_CHECKING:
    from engine.runtimes import Runtime

_POLL = 0.05  # seconds between looks at a run's metadata while waiting for its end


async def run_attached(
    home: Home,
    request: RunRequest,
    io: AgentIO,
    notice: Callable[[str], None],
    on_running: Callable[[RunInfo], None] = lambda info: None,
) -> RunInfo:
    """A run's whole life in this process. SIGINT, SIGTERM and SIGHUP stop it; SIGQUIT kills it.

    Another SIGINT kills it too. Raises MoatError for what a person can mend; then nothing of the run is left
    running.
    """
    import gc

    collecting = gc.isenabled()
    gc.disable()  # what is made while starting stays, so looking for garbage in it is time lost

    def running(info: RunInfo) -> None:
        on_running(info)
        gc.freeze()  # and is never looked at again
        if collecting:
            gc.enable()

    try:
        from engine.run.prepare import prepare
        from engine.run.workspace.worktree import in_worktree

        async with in_worktree(home, request, notice) as opened:
            supervisor = await prepare(home, opened, io, notice, running)
            with _signals(
                supervisor.interrupt, supervisor.request_stop, lambda: supervisor.request_stop(kill=True)
            ):
                return await supervisor.run(lambda: _opened(supervisor.info.runtime))
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _signals(
    interrupt: Callable[[], None], stop: Callable[[], None], kill: Callable[[], None]
) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # A ctrl-\ would end this process at once and leave the container and the terminal as they are.
    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: stop, signal.SIGQUIT: kill}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup moat run` outlives its terminal
        handlers[signal.SIGHUP] = stop
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


async def start_detached(
    home: Home,
    request: RunRequest,
    timeout: float = 60,
    notice: Callable[[str], None] = lambda line: None,
) -> RunInfo:
    """Start a supervisor of its own and return when the agent runs, or has already ended.

    notice: gets what is said on the way there. Raises what the supervisor raised. After `timeout` seconds
    without a word of it, it is stopped.
    """
    from engine.run.detached import spawn

    return await spawn(home, request, timeout, notice)


async def stop_run(home: Home, run_id: str, *, kill: bool = False, timeout: float = 30) -> RunInfo:
    """Stop a run and wait until it is over. A run that is over already is returned as it is."""
    run = read_metadata(home, run_id)
    if run.state.ended:
        return run
    try:
        async with asyncio.timeout(timeout):
            await _ask_to_stop(home, run_id, ControlRequest(op="kill" if kill else "stop"))
            while supervisor_alive(home, run_id):  # noqa: ASYNC110 - a file lock of another process: nothing to await
                await asyncio.sleep(_POLL)
    except TimeoutError as error:
        raise RunStateError(
            f"run {run.name} has not ended within {timeout:g} seconds",
            remedy=f"Kill it: moat stop --kill {run_id}",
        ) from error
    if not read_metadata(home, run_id).state.ended:  # its supervisor is dead
        await reap(home)
    return read_metadata(home, run_id)


async def _ask_to_stop(home: Home, run_id: str, request: ControlRequest) -> None:
    """Until it was heard or nobody is left to hear it; a run that was just born opens its socket soon."""
    while supervisor_alive(home, run_id):
        try:
            await ask(home, run_id, request)
        except RunStateError:
            await asyncio.sleep(_POLL)
        else:
            return


async def destroy_run(home: Home, run_id: str) -> None:
    """Remove a run's directory and whatever of it is left in the engine. Refuses a live run.

    The installation's log says so first, or afterwards where it cannot (the disk is full): a directory that
    is merely gone would be named as one that somebody took away.
    """
    from engine.credentials import KeySource
    from engine.heads import destroy_run as record

    run = read_metadata(home, run_id)
    if supervisor_alive(home, run_id):
        raise RunStateError(f"run {run.name} is {run.state}", remedy=f"Stop it first: moat stop {run_id}")
    directory = home.check(home.run(run_id))
    if run.keep or not run.state.ended:
        async with _opened(run.runtime) as engine:
            await engine.remove_run(run_id)
    from engine.run.workspace.snapshots import remove_snapshots

    await asyncio.to_thread(remove_snapshots, home, run_id)
    keys = KeySource(home)
    recorded = True
    try:
        await asyncio.to_thread(record, home, keys, run_id)
    except MoatError:
        recorded = False
    try:
        await asyncio.to_thread(shutil.rmtree, directory)
        if not recorded:
            await asyncio.to_thread(record, home, keys, run_id)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HomeError(
            f"{directory} could not be removed: {error.strerror}", remedy="Check its owner."
        ) from error


async def reap(home: Home) -> list[RunInfo]:
    """Close the runs whose supervisor died. Only files are read when there are none."""
    from engine.run.reaper import dead_runs

    if not dead_runs(home):
        return []
    from engine.run.reaper import reap as reap_dead

    return await reap_dead(home, _opened)


async def clean(home: Home) -> list[str]:
    """Remove every container and network of this installation that no live run needs, and images that are
    needed no more.

    Returns one line for each thing done. Run directories, and so logs and proof, stay.
    """
    from engine.run.image.left import needed_layers, remove_images
    from engine.run.reading.library import list_runs
    from engine.run.workspace.snapshots import remove_orphans
    from engine.runtimes import ABILITIES, choose_runtime, home_label

    done = [f"closed run {run.name} ({run.id}), which was interrupted" for run in await reap(home)]
    runs = list_runs(home)
    used = {run.runtime for run in runs}
    for runtime in ABILITIES:
        try:
            async with _opened(runtime) as engine:
                for run_id in sorted({left.run_id for left in await engine.leftovers(home_label(home.root))}):
                    # Only the lock tells, and only now: a run takes it before it asks the engine for
                    # anything, and what its metadata says may be damaged or not written yet.
                    if not supervisor_alive(home, run_id):
                        gone = await engine.remove_run(run_id)
                        done += [f"removed {left.kind} {left.name}" for left in gone]
                if engine.builder is not None:
                    needed = needed_layers(list_runs(home), lambda run_id: supervisor_alive(home, run_id))
                    done += await remove_images(home, engine.builder, needed)
        except RuntimeUnavailable:
            # One that no run here ever used is no reason to fail, unless it is the one that a run would use.
            if runtime in used or (not used and runtime == choose_runtime("", "", "")):
                raise
    return done + await asyncio.to_thread(remove_orphans, home)


def _opened(runtime: str) -> Runtime:
    from engine.runtimes import open_runtime

    return open_runtime(runtime, os.environ)


__all__ = ["clean", "destroy_run", "reap", "run_attached", "start_detached", "stop_run"]
