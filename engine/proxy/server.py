"""The proxy of one run, on a socket that somebody else bound.

Importing this costs nothing; mitmproxy is imported by `preload`, which a thread can run while the
container is being made. Connections that come earlier wait in the socket's backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import socket
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import ProxyError
from engine.proxy.admission import Admission
from engine.proxy.ca import CertificateAuthority
from engine.proxy.dial import Dialer
from engine.proxy.entry import Entry
from engine.proxy.holding import Holding
from engine.proxy.names import NameServer
from engine.proxy.open_files import allow_open_files
from engine.proxy.recorder import Recorder
from engine.proxy.spec import Injection, ProxySpec
from engine.proxy.transparent import TransparentSockets

if TYPE_CHECKING:
    from engine.proxy.lane.session import Services, Session

MAX_CONNECTIONS = 1000  # of one run at a time; more are dropped
CLOSE_TIMEOUT = 5.0  # seconds until connections that do not end are left to the loop
IDLE_TIMEOUT = 1800.0  # seconds without a byte in either direction, as mitmproxy's layers have it
_SWEEP = 15.0  # seconds between two looks for what is idle
_BACKLOG = 1024
_ALARM_FIRST = 1.0  # seconds that the alarm's entry has before `frozen` is told


def preload() -> None:
    """Import everything that `start` needs (about 0.3 s of CPU). Safe in a thread, and to repeat."""
    import engine.proxy.connection
    import engine.proxy.lane.session  # noqa: F401


class ProxyServer:
    """`start` once, `close` once. Everything runs in the loop that calls `start`."""

    def __init__(
        self,
        spec: ProxySpec,
        ca: CertificateAuthority,
        recorder: Recorder,
        holding: Holding | None = None,
        *,
        fast: bool = True,
    ) -> None:
        """holding: where the policy `ask` holds requests; without it there is nobody to ask.
        fast: False sends everything through mitmproxy's layers, to compare the two lanes.

        Raises ProxyError or UsageError for a spec that cannot be served.
        """
        spec.check()
        self._spec = spec
        self._ca = ca
        self._fast = fast
        self._admission = Admission(spec, recorder, holding)
        try:
            self._subnets = tuple(ipaddress.ip_network(part.strip()) for part in spec.subnet.split(","))
            self._strangers = frozenset(map(ipaddress.ip_address, spec.strangers))
        except ValueError as error:
            raise ProxyError(f"not a subnet: {spec.subnet!r}", detail=str(error)) from error
        self._servers: list[asyncio.Server] = []
        self._names: NameServer | None = None
        self._services: Services
        self._chores: set[asyncio.Task[None]] = set()
        self._tasks: dict[asyncio.Task[None], Session] = {}
        self._crashes = 0
        self._alarm: asyncio.Task[None] | None = None
        self.frozen = asyncio.Event()  # a decoy was seen leaving: nothing of the run is let go any more
        self._admission.freeze.begun = self._freeze
        self.dropped = 0  # connections from outside the subnet, or beyond MAX_CONNECTIONS

    @property
    def unrecorded(self) -> int:
        """Denials and records that the recorder did not take. Intents are not counted: they gate."""
        return self._admission.unrecorded

    @property
    def crashes(self) -> int:
        """Connections ended by an unexpected error of a layer or hook."""
        return self._crashes + sum(connection.crashes for connection in self._tasks.values())

    async def start(self, sock: socket.socket, transparent: TransparentSockets | None = None) -> None:
        """Serve on `sock`, and on those of `transparent`; all are bound, may listen already, and belong to
        the proxy from now on.
        """
        await asyncio.to_thread(preload)
        from engine.proxy.lane.contexts import Contexts
        from engine.proxy.lane.records import Records
        from engine.proxy.lane.session import Services
        from engine.proxy.lane.upstreams import Upstreams
        from engine.proxy.tls import Tls

        tls = Tls(self._ca, self._spec.upstream_ca)
        contexts = Contexts(self._ca, self._spec.upstream_ca)
        own = None if self._spec.alone else sock.getsockname()[:2]  # there it is no address of this machine's
        dialer = Dialer(self._spec.connect_to, own, self._spec.private, self._spec.upstream_proxy)
        upstreams = Upstreams(dialer, contexts.upstream)
        records = Records(self._admission)
        self._services = Services(self._admission, tls, contexts, dialer, upstreams, records, self._fast)
        loop = asyncio.get_running_loop()
        self._chores = {
            loop.create_task(records.run(), name="moat proxy records"),
            loop.create_task(self._sweep(), name="moat proxy sweep"),
        }
        allow_open_files()
        gc.freeze()  # what was imported stays; no collection has to walk it
        await self._listen(sock, Entry.PROXY)
        if transparent is not None:
            await self._listen(transparent.http, Entry.HTTP)
            await self._listen(transparent.https, Entry.HTTPS)
            watching = self._admission.name_asked if self._spec.decoys else None
            self._names = NameServer(transparent.address, self._is_ours, watching)
            await self._names.start(transparent.udp, transparent.tcp)

    async def _listen(self, sock: socket.socket, entry: Entry) -> None:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        self._servers.append(
            await loop.create_server(partial(self._protocol, entry), sock=sock, backlog=_BACKLOG)
        )

    def renew(self, injection: Injection) -> None:
        """Another credential for a grant of the run, from the next request on. Raises ProxyError."""
        self._admission.renew(injection)

    @property
    def decoy(self) -> str:
        """The one that was seen; "" while nothing is frozen."""
        return self._admission.freeze.decoy

    def _freeze(self) -> None:
        """Called in the middle of the request that holds the decoy, which is answered once the alarm is
        written. Everything else that is open is cut before anything more can happen.
        """
        held_by = self._admission.freeze.exchange
        for session in list(self._tasks.values()):
            if held_by is None or not session.serves_only(held_by):
                session.abort()
        self._services.upstreams.close()
        self._alarm = asyncio.get_running_loop().create_task(self._raise_alarm(), name="moat proxy alarm")

    async def _raise_alarm(self) -> None:
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(self._admission.alarm(), name="moat proxy alarm entry")
            # whoever waits for `frozen` has more to cut: a disk that is stuck must not hold that up
            await asyncio.wait({alarm}, timeout=_ALARM_FIRST)
            self.frozen.set()

    async def close(self) -> None:
        """Stop accepting, cut what is open, hand its records over. Bounded by five times CLOSE_TIMEOUT."""
        if not self._chores:
            return
        for server in self._servers:
            server.close()
        if self._names is not None:
            self._names.close()
        for connection in list(self._tasks.values()):
            connection.abort()
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
        self._services.upstreams.close()
        self._services.records.close()
        if self._alarm is not None:
            await asyncio.wait({self._alarm}, timeout=2 * CLOSE_TIMEOUT)
        await asyncio.wait(self._chores, timeout=CLOSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        for chore in self._chores:
            chore.cancel()  # the sweep never ends by itself
        await asyncio.wait(self._chores)
        self._chores = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                for server in self._servers:
                    await server.wait_closed()
        self._servers.clear()

    async def _sweep(self) -> None:
        """End what nobody uses any more."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP)
            self._services.upstreams.sweep()
            for session in list(self._tasks.values()):
                if loop.time() - session.active > IDLE_TIMEOUT:
                    session.abort()

    def _protocol(self, entry: Entry) -> Session:
        from engine.proxy.lane.session import Session

        return Session(self._services, entry, self._accepted)

    def _accepted(self, session: Session) -> bool:
        """Called before the transport reads: a peer that is dropped here was never listened to."""
        peer = session.transport.get_extra_info("peername")
        # At a transparent entry nothing but the peer's address tells the run's container from others: the
        # host itself, which speaks from the very address it speaks to, has no business there.
        own = session.transport.get_extra_info("sockname")
        shared = session.entry is not Entry.PROXY and not self._spec.alone
        host = shared and peer and peer[0] == own[0]
        if len(self._tasks) >= MAX_CONNECTIONS or host or not self._is_ours(peer):
            self.dropped += 1
            return False
        with contextlib.suppress(OSError):
            # asyncio does it for sockets made with IPPROTO_TCP only; without it a handshake takes 40 ms more
            session.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(session.serve(), name="moat proxy client")
        self._tasks[task] = session
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task)
        failed = not task.cancelled() and task.exception() is not None
        self._crashes += connection.crashes + failed

    def _is_ours(self, peer: object) -> bool:
        if not isinstance(peer, tuple) or not peer:
            return False
        try:
            address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address in self._strangers:
            return False
        return any(address.version == net.version and address in net for net in self._subnets)
