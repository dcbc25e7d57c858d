"""One run's life in one process, from settled spec to closed log.

    STARTING ─▶ RUNNING ─▶ EXITED          the agent ended by itself
        │          └─▶ STOPPING ─▶ STOPPED  a person or a signal asked
        └─▶ FAILED                          Moat could not run it

However the life ends, its container, network and token are gone and its audit log is signed before
`run` returns. If the process dies instead, the lock it holds falls free and the reaper does the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from engine.anchors.background import push_in_background
from engine.audit import AuditLog, container, policy, secret
from engine.credentials import KeySource
from engine.errors import AuditError, ContainerFailed, HomeError, MoatError, first_moat_error
from engine.events import ControlReply, ControlRequest, RunInfo, RunState, timestamp
from engine.heads import RunHeads
from engine.home import Home
from engine.run.beginning import first_info, given, kept_by
from engine.run.beside.sidecar import Sidecars
from engine.run.control.approvals import FIRST_LEASE, ApprovalDesk
from engine.run.control.control import send_reply, serve_control
from engine.run.freezing import Freezing
from engine.run.granted.injections import Granted
from engine.run.launch import Launched, launch
from engine.run.metadata import SupervisorLock, write_metadata
from engine.run.names import check_run_name
from engine.run.reading.library import AUDIT_DB
from engine.run.records.records import RunRecords
from engine.run.records.reports import take_report
from engine.run.spec import RunSpec
from engine.run.terminals.carry import Carrier
from engine.run.terminals.interactive import joined
from engine.run.terminals.sessions import Sessions
from engine.run.terminals.terminal import AgentIO
from engine.run.workspace.life import workspace_life
from engine.runtimes import Runtime

if TYPE_CHECKING:
    from engine.proxy import Injection
    from engine.run.proxy_life import ProxyLife

type _Ending = dict[str, object]  # the last changes to the run's metadata

STOP_GRACE = 10.0  # seconds between TERM and KILL, as docker stop
_DIE = 30.0  # seconds between the end of a stop or kill and the engine's word that the agent ended
_REMOVE = 60.0  # seconds the daemon may take to remove container and network


class Supervisor:
    """Make one, call `run` once. `request_stop` may be called at any moment, also from a signal handler.

    keys: what opens the installation's signing key, which certifies those of the run's log.
    """

    def __init__(
        self,
        home: Home,
        spec: RunSpec,
        granted: Granted,
        keys: KeySource,
        *,
        io: AgentIO,
        notice: Callable[[str], None],
        on_running: Callable[[RunInfo], None] = lambda info: None,
    ) -> None:
        self._home = home
        self._spec = spec
        self._granted = granted
        self._keys = keys
        self._io = io
        self._notice = notice
        self._on_running = on_running
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._unwritten_said = False
        self._sessions: Sessions | None = None
        self._approvals = ApprovalDesk(home, spec.id, spec.approval_timeout)
        self.info = first_info(spec, granted)

    def request_stop(self, *, kill: bool = False) -> None:
        """Ask the agent to end: TERM, then KILL after a grace; with `kill` at once."""
        if kill:
            self._kill.set()
        self._stop.set()

    def interrupt(self) -> None:
        """A person's ctrl-c: the first one asks, another one, or one after any other stop, kills."""
        again = self._stop.is_set()
        self.request_stop(kill=again)
        if not again:
            self._notice(f"stopping the agent, for at most {STOP_GRACE:g} seconds; ctrl-c again kills it")

    async def run(self, connect: Callable[[], Runtime]) -> RunInfo:
        """The whole life. Raises only what made the run impossible; it is in the metadata by then.

        The final state is written last: who reads it finds the log signed and the container gone.
        """
        self._home.ensure_dir(self._home.run(self._spec.id))
        lock = SupervisorLock(self._home, self._spec.id)
        try:
            self._become()
            ending = await self._logged_life(connect)
            self._become(**ending)
            return self.info
        except BaseException as error:
            explained = str(error) if isinstance(error, MoatError) else type(error).__name__
            # What is raised says that the disk is full: not a second time.
            self._unwritten_said |= isinstance(error, HomeError | AuditError)
            self._become(state=RunState.FAILED, ended_at=timestamp(), error=explained)
            raise
        finally:
            lock.release()

    async def _logged_life(self, connect: Callable[[], Runtime]) -> _Ending:
        path = self._home.run(self._spec.id) / AUDIT_DB
        loop = asyncio.get_running_loop()
        heads = RunHeads(self._home, self._keys, self._spec.id, lambda said: _post(loop, self._notice, said))
        # Only the log's writer keeps the run's keys.
        log = await AuditLog.open(
            self._home, path, keys=await asyncio.to_thread(heads.begin), on_checkpoint=heads.tell
        )
        closing = str(RunState.FAILED)
        try:
            await self._anchor()
            records = RunRecords(
                self._home, self._spec.id, log, self._granted.hidden, self._notice, self._spec.profile
            )
            try:
                await log.append(policy("run", "start", "allow", message=given(self._spec)))
                for name, reference in self._granted.secrets.references.items():
                    await log.append(secret(name, reference.backend))  # before any of them can leave
                taking = functools.partial(take_report, log, lambda text: records.masker.mask(text))
                async with serve_control(self._home, self._spec.id, self._answer, self._converse, taking):
                    ending = await self._life(log, records, connect)
                    closing = str(ending["state"])
                    return ending
            except BaseException as error:
                failure = first_moat_error(error)
                await records.note(container("failed", reason=str(failure or type(error).__name__)))
                if failure is None or failure is error:
                    raise
                raise failure from error
            finally:
                self._approvals.close()
                await records.close()
        finally:
            await self._close_log(log, closing)
            await asyncio.to_thread(heads.close)
            await self._anchor()

    async def _life(self, log: AuditLog, records: RunRecords, connect: Callable[[], Runtime]) -> _Ending:
        async with contextlib.AsyncExitStack() as made:
            engine = await self._unless_stopped(made.enter_async_context(connect()))
            if engine is None:
                return await self._stopped_early(records)
            workspace = workspace_life(self._home, self._spec, self.info, records, self._notice)
            watch = await made.enter_async_context(workspace)
            made.push_async_callback(self._remove, engine)
            sidecars = await made.enter_async_context(
                Sidecars(self._home, self._spec.id, records, self._lost)
            )
            self._expect_viewer()
            launched = await self._unless_stopped(
                launch(
                    self._home,
                    self._spec,
                    self._granted,
                    engine,
                    records,
                    self._approvals.holding,
                    watch.ready,
                    sidecars,
                    self._notice,
                    lambda layers: self._become(layers=layers),
                )
            )
            if launched is None:
                return await self._stopped_early(records)
            made.push_async_callback(launched.close)
            await log.append(container("started", reason=kept_by(self._spec, launched)))
            self._become(
                state=RunState.RUNNING,
                started_at=timestamp(),
                sandbox=launched.sandbox,
                container_id=launched.container.id,
                network=f"moat-{self._spec.id}",
                ports=launched.publishing.ports,
            )
            sessions = await made.enter_async_context(Sessions(self._spec, launched, records, self._notice))
            self._sessions = sessions
            self._expect_viewer()
            self._on_running(self.info)
            return await self._until_exit(records, launched, sessions)

    async def _stopped_early(self, records: RunRecords) -> _Ending:
        await records.note(container("stopped", reason="before the agent started"))
        return {"state": RunState.STOPPED, "ended_at": timestamp()}

    async def _unless_stopped[T](self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives; None when a stop came first, and then `work` is over, whatever came of it."""
        if self._stop.is_set():
            work.close()
            return None
        try:
            async with asyncio.TaskGroup() as group:
                working = group.create_task(work)
                stopping = group.create_task(self._stop.wait())
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                working.cancel()
        except ExceptionGroup:
            if self._stop.is_set():
                return None
            raise
        return None if working.cancelled() else working.result()

    async def _until_exit(self, records: RunRecords, launched: Launched, sessions: Sessions) -> _Ending:
        """Carry output (and input) until the agent has ended and everything it printed is through."""
        attachment = launched.attachment
        carrier = Carrier(attachment, self._io, sessions.output, self._notice)
        terminal = (
            joined(self._io, attachment.write, attachment.close_stdin, launched.container.resize)
            if self._spec.interactive
            else contextlib.nullcontext()
        )
        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(carrier.carry())
            obeying = group.create_task(self._obey(launched, carrier))
            renewing = group.create_task(self._renew(records, launched.proxy))
            freezing = Freezing(launched, self._spec, lambda why: self._become(frozen=why), self._notice)
            frozen = group.create_task(freezing.obey())
            serving = group.create_task(launched.proxy.serve(when_needed=True))
            heeding = group.create_task(self._heed_listeners(launched))
            carried = launched.publishing.serve(launched.container, launched.dial)
            publishing = group.create_task(carried)
            relaying = group.create_task(launched.docker.serve())
            async with terminal:
                code = await launched.container.wait()
            sessions.agent_ended(code)
            for task in (obeying, renewing, frozen, serving, heeding, publishing, relaying):
                task.cancel()
            freezing.tell()
            await asyncio.wait({serving})
            stopped, ended_at = self._stop.is_set(), timestamp()
            await launched.proxy.close()  # its token ends with the agent, however long the reader takes
            await carrier.finish(carrying, self._stop, self._kill)
        await records.note(container("stopped" if stopped else "exited", reason=f"exit code {code}"))
        state = RunState.STOPPED if stopped else RunState.EXITED
        return {"state": state, "ended_at": ended_at, "exit_code": code}

    async def _heed_listeners(self, launched: Launched) -> None:
        """The network fails closed without them, and nothing but this would say why. Cancelled at the end."""
        if launched.listeners is None:
            return
        await launched.listeners.ended()
        name = self._spec.name
        self._notice(
            f"run {name} reaches nothing any more: the container that held its proxy's sockets has ended; "
            f"end it: moat stop {name}"
        )

    def _lost(self, what: str, said: str) -> None:
        """A sidecar ended before its time."""
        self._become(lost=(*self.info.lost, what))
        self._notice(said)

    async def _renew(self, records: RunRecords, proxy: ProxyLife) -> None:
        """Give the proxy what the store has, whenever that changes. Cancelled at the agent's end."""
        if self._granted.renewal is None:
            return

        async def renewed(injection: Injection) -> None:
            await records.renewed(injection.grant, (*injection.secrets, *injection.values))
            proxy.renew(injection)
            self._notice(f"the credential of {injection.grant} was replaced; the run uses the new one")

        await self._granted.renewal.watch(renewed, self._notice)

    async def _obey(self, launched: Launched, carrier: Carrier) -> None:
        """Stop the agent when asked: TERM, then KILL after the grace or at once. Cancelled at its end."""
        await self._stop.wait()
        self._become(state=RunState.STOPPING)
        async with asyncio.TaskGroup() as group:
            waning = group.create_task(carrier.abandon_when_stalled())
            killing = group.create_task(self._kill.wait())
            if not self._kill.is_set():
                stopping = group.create_task(launched.container.stop(STOP_GRACE))
                await asyncio.wait({stopping, killing}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                await asyncio.wait({killing}, timeout=_DIE)
            if self._kill.is_set():
                carrier.abandon()
                await launched.container.kill("SIGKILL")
                await asyncio.sleep(_DIE)
            for task in (waning, killing):
                task.cancel()
        raise ContainerFailed(
            f"the agent was stopped and did not end within {_DIE:g} seconds",
            remedy="Look at the engine (`docker ps`), then: moat clean",
        )

    def _answer(self, request: ControlRequest) -> ControlReply:
        match request.op:
            case "ping":
                pass
            case "stop":
                self.request_stop()
            case "kill":
                self.request_stop(kill=True)
            case "rename":
                return self._rename(request.name)
            case "watch" | "answer":
                return self._approvals.obey(request, self.info.state)
            case unknown:
                return ControlReply(ok=False, error=f"unknown request {unknown!r}", state=self.info.state)
        return ControlReply(ok=True, state=self.info.state)

    def _rename(self, name: str) -> ControlReply:
        """Unlike what becomes of a run, a new name that cannot be written is not taken."""
        try:
            renamed = msgspec.structs.replace(self.info, name=check_run_name(name))
            write_metadata(self._home, renamed)
        except MoatError as error:
            return ControlReply(ok=False, error=error.what, state=self.info.state)
        self.info = renamed
        return ControlReply(ok=True, state=self.info.state)

    async def _converse(
        self, request: ControlRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._sessions is not None:
            await self._sessions.converse(request, reader, writer)
        else:
            await send_reply(writer, ControlReply(ok=False, error=f"run {self._spec.name} is still starting"))

    def _expect_viewer(self) -> None:
        """The screen that started the run learns of it only when it runs, and the agent is quicker."""
        if self._spec.viewer:
            self._approvals.holding.watch(FIRST_LEASE)

    async def _remove(self, engine: Runtime) -> None:
        try:
            async with asyncio.timeout(_REMOVE):
                await engine.remove_run(self._spec.id, keep_container=self._spec.keep)
            return
        except MoatError as error:
            why = error.what
        except TimeoutError:
            why = f"no answer within {_REMOVE:g} s"
        self._notice(f"the container of run {self._spec.id} could not be removed: {why}; try: moat clean")

    async def _anchor(self) -> None:
        try:
            await asyncio.to_thread(push_in_background, self._home)
        except (MoatError, OSError) as error:
            self._notice(f"the installation's log could not be anchored: {error}")

    async def _close_log(self, log: AuditLog, reason: str) -> None:
        try:
            await log.close(reason)
        except MoatError as error:
            self._notice(str(error))

    def _become(self, **changes: object) -> None:
        """Note a change in `metadata.json`. A full disk must not end a run that is going well."""
        self.info = msgspec.structs.replace(self.info, **changes)
        try:
            write_metadata(self._home, self.info)
        except MoatError as error:
            if self.info.state is RunState.STARTING:
                raise
            if not self._unwritten_said:
                self._unwritten_said = True
                self._notice(str(error))


def _post(loop: asyncio.AbstractEventLoop, notice: Callable[[str], None], said: str) -> None:
    """From another thread, one that may outlive the loop."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(notice, said)
