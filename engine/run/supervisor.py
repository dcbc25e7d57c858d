"""One run's life in one process, from settled spec to closed log.

    STARTING ─▶ RUNNING ─▶ EXITED          the agent ended by itself
        │          └─▶ STOPPING ─▶ STOPPED  a person or a signal asked
        └─▶ FAILED                          Moat could not run it

However the life ends, its container, network and token are gone and its audit log is signed before
`run` returns. If the process dies instead, the lock it holds falls free and the reaper does the same.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable

import msgspec

from engine.audit import AuditLog, Signer, container, policy
from engine.errors import MoatError
from engine.events import ControlReply, ControlRequest, RunInfo, RunState, timestamp
from engine.home import Home
from engine.run.control import serve_control
from engine.run.injections import Granted
from engine.run.interactive import joined
from engine.run.launch import Launched, launch
from engine.run.library import AUDIT_DB
from engine.run.metadata import SupervisorLock, write_metadata
from engine.run.records import RunRecords
from engine.run.spec import RunSpec
from engine.run.terminal import AgentIO
from engine.runtimes import Runtime

STOP_GRACE = 10.0  # seconds between TERM and KILL, as docker stop
_LAST_OUTPUT = 10.0  # seconds to wait for the end of the output after the agent has ended
_REMOVE = 60.0  # seconds the daemon may take to remove container and network


class Supervisor:
    """Make one, call `run` once. `request_stop` may be called at any moment, also from a signal handler."""

    def __init__(
        self,
        home: Home,
        spec: RunSpec,
        granted: Granted,
        signer: Signer,
        *,
        io: AgentIO,
        notice: Callable[[str], None],
        on_running: Callable[[RunInfo], None] = lambda info: None,
    ) -> None:
        self._home = home
        self._spec = spec
        self._granted = granted
        self._signer = signer
        self._io = io
        self._notice = notice
        self._on_running = on_running
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self.info = _first_info(spec, granted)

    def request_stop(self, *, kill: bool = False) -> None:
        """Ask the agent to end (TERM, then KILL after a grace); asked again, or with `kill`, at once."""
        if kill or self._stop.is_set():
            self._kill.set()
        self._stop.set()

    async def run(self, connect: Callable[[], Runtime]) -> RunInfo:
        """The whole life. Raises only what made the run impossible; it is in the metadata by then."""
        self._home.ensure_dir(self._home.run(self._spec.id))
        lock = SupervisorLock(self._home, self._spec.id)
        try:
            self._become()
            log = await AuditLog.open(self._home, self._home.run(self._spec.id) / AUDIT_DB)
            try:
                await self._recorded_life(log, connect)
            finally:
                await self._close_log(log)
            return self.info
        except BaseException as error:
            explained = " ".join(error.lines()) if isinstance(error, MoatError) else type(error).__name__
            self._become(state=RunState.FAILED, ended_at=timestamp(), error=explained)
            raise
        finally:
            lock.release()

    async def _recorded_life(self, log: AuditLog, connect: Callable[[], Runtime]) -> None:
        records = RunRecords(self._home, self._spec.id, log, self._granted.secrets, self._notice)
        try:
            await log.append(policy("run", "start", "allow", message=_given(self._spec)))
            async with connect() as engine, serve_control(self._home, self._spec.id, self._answer):
                try:
                    await self._life(log, records, engine)
                except BaseException as error:
                    failure = _first_moat_error(error)
                    await records.note(container("failed", reason=str(failure or type(error).__name__)))
                    if failure is None:
                        raise
                    raise failure from error
                finally:
                    await self._remove(engine)
        finally:
            await records.close()

    async def _life(self, log: AuditLog, records: RunRecords, engine: Runtime) -> None:
        launched = await self._launch_unless_stopped(records, engine)
        if launched is None:
            await records.note(container("stopped", reason="before the agent started"))
            self._become(state=RunState.STOPPED, ended_at=timestamp())
            return
        try:
            await log.append(
                container("started", reason=f"image {self._spec.image}, sandbox {launched.sandbox}")
            )
            self._become(
                state=RunState.RUNNING,
                started_at=timestamp(),
                sandbox=launched.sandbox,
                container_id=launched.container.id,
                network=f"moat-{self._spec.id}",
            )
            self._on_running(self.info)
            gc.freeze()  # the modules and tables of the start are never garbage: never look at them again
            gc.enable()
            code = await self._until_exit(records, launched)
        finally:
            await launched.proxy.close()
        stopped = self._stop.is_set()
        await records.note(container("stopped" if stopped else "exited", reason=f"exit code {code}"))
        self._become(
            state=RunState.STOPPED if stopped else RunState.EXITED,
            ended_at=timestamp(),
            exit_code=code,
        )

    async def _launch_unless_stopped(self, records: RunRecords, engine: Runtime) -> Launched | None:
        """The running container and its proxy; None when a stop came first."""
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(
                launch(self._home, self._spec, self._granted, engine, records, self._notice)
            )
            stopping = group.create_task(self._stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not starting.done():
                starting.cancel()
        return None if starting.cancelled() else starting.result()

    async def _until_exit(self, records: RunRecords, launched: Launched) -> int:
        """Carry output (and input) until the agent has ended; its exit code."""
        attachment = launched.attachment

        async def carry() -> None:
            async for stream, data in attachment:
                sink = self._io.stderr if stream == "stderr" else self._io.stdout
                # Off the loop: a reader that stopped reading must slow the agent, not the proxy.
                await asyncio.to_thread(sink, data)
                await records.output(stream, data)

        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(carry())
            obeying = group.create_task(self._obey(launched))
            if self._spec.interactive:
                async with joined(
                    self._io, attachment.write, attachment.close_stdin, launched.container.resize
                ):
                    code = await launched.container.wait()
            else:
                code = await launched.container.wait()
            obeying.cancel()
            done, _ = await asyncio.wait({carrying}, timeout=_LAST_OUTPUT)
            if not done:
                carrying.cancel()
                self._notice("the end of the agent's output did not come; what was seen is kept")
        return code

    async def _obey(self, launched: Launched) -> None:
        """Stop the agent when asked: TERM, then KILL after the grace or at the second request."""
        await self._stop.wait()
        self._become(state=RunState.STOPPING)
        async with asyncio.TaskGroup() as group:
            if not self._kill.is_set():
                stopping = group.create_task(launched.container.stop(STOP_GRACE))
                killing = group.create_task(self._kill.wait())
                await asyncio.wait({stopping, killing}, return_when=asyncio.FIRST_COMPLETED)
                killing.cancel()
                if stopping.done():
                    return
                stopping.cancel()
            await launched.container.kill("SIGKILL")

    def _answer(self, request: ControlRequest) -> ControlReply:
        match request.op:
            case "ping":
                pass
            case "stop":
                self.request_stop()
            case "kill":
                self.request_stop(kill=True)
            case unknown:
                return ControlReply(ok=False, error=f"unknown request {unknown!r}", state=self.info.state)
        return ControlReply(ok=True, state=self.info.state)

    async def _remove(self, engine: Runtime) -> None:
        try:
            async with asyncio.timeout(_REMOVE):
                await engine.remove_run(self._spec.id, keep_container=self._spec.keep)
        except (MoatError, TimeoutError) as error:
            self._notice(
                f"the container of run {self._spec.id} could not be removed: {error}; try: moat clean"
            )

    async def _close_log(self, log: AuditLog) -> None:
        try:
            await log.close(self._signer)
        except MoatError as error:
            self._notice(str(error))

    def _become(self, **changes: object) -> None:
        """Note a change in `metadata.json`. A full disk must not end a run that is going well."""
        if self.info.state is RunState.STOPPING and changes.get("state") is RunState.RUNNING:
            changes.pop("state")
        self.info = msgspec.structs.replace(self.info, **changes)
        try:
            write_metadata(self._home, self.info)
        except MoatError as error:
            if self.info.state is RunState.STARTING:
                raise
            self._notice(str(error))


def _first_info(spec: RunSpec, granted: Granted) -> RunInfo:
    return RunInfo(
        id=spec.id,
        name=spec.name,
        created_at=timestamp(),
        agent=spec.agent,
        workspace=str(spec.workspace),
        command=spec.command,
        image=spec.image,
        runtime=spec.runtime,
        policy=spec.policy,
        grants=tuple(injection.grant for injection in granted.injections),
        profile=spec.profile,
        interactive=spec.interactive,
        keep=spec.keep,
        supervisor_pid=os.getpid(),
    )


def _given(spec: RunSpec) -> str:
    """What the run was given, for the first entry of its log. Names only."""
    parts = [f"policy {spec.policy}"]
    if spec.grants:
        parts.append("grants " + ", ".join(spec.grants))
    if spec.allow:
        parts.append("hosts " + ", ".join(spec.allow))
    parts += [f"connect {rule.describe()}" for rule in spec.connect_to]
    return "; ".join(parts)


def _first_moat_error(error: BaseException) -> MoatError | None:
    """The explained error inside a task group's bundle, where there is one."""
    if isinstance(error, MoatError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            found = _first_moat_error(inner)
            if found is not None:
                return found
    return None
