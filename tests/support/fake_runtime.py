"""A scripted engine behind the Runtime protocol: any step can fail, be held, or be watched."""

from __future__ import annotations

import asyncio
import errno
from collections import defaultdict

import msgspec

from engine.runtimes import EngineInfo, ImageFacts, Leftover, Network, bind_here, engine_terms
from engine.runtimes.reach import dial_here

ENGINE = EngineInfo("20", "1.41", "linux", "amd64", "linux", frozenset({"runc", "runsc"}), False, "x")
STEPS = ("enter", "terms", "ensure_image", "create_network", "create", "attach", "start")


class FakeRuntime:
    """fails: step -> error to raise. held: step -> event waited for. reached: step -> set when it begins.
    quick: the proxy is loaded beside the agent. sockets: all that were bound.

    Like a daemon, it finishes the making of a network or container although the asker has gone.
    """

    quick = False
    builder = None

    def __init__(self):
        self.fails = {}
        self.held = {}
        self.reached = defaultdict(asyncio.Event)
        self.calls = []
        self.networks = set()
        self.apart = False  # whether networks are made as they are asked for; there is nobody to make sockets
        self.containers = set()
        self.sidecars = {}  # host name -> what was made beside the agent
        self.entered = 0
        self.attachment = FakeAttachment()
        self.ended = asyncio.get_running_loop().create_future()
        self.stop_ends_it = True
        self.end_waits_for_output = False
        self.spec = None
        self.execs = []
        self.sizes = []
        self.sockets = []
        self.low_ports_refused = False

    async def step(self, name):
        self.calls.append(name)
        self.reached[name].set()
        if name in self.held:
            await self.held[name].wait()
        if name in self.fails:
            raise self.fails[name]

    def end(self, code=0, *, output_too=True):
        """The agent ends."""
        if not self.ended.done():
            self.ended.set_result(code)
        if output_too:
            self.attachment.feed(None)

    async def __aenter__(self):
        await self.step("enter")
        self.entered += 1
        return self

    async def __aexit__(self, *error):
        self.entered -= 1

    async def terms(self, network, requested, uid, gid):
        await self.step("terms")
        return engine_terms(ENGINE, network, requested, uid, gid)

    async def bind(self, network, wanted):
        """Any free ports instead of the usual ones."""
        if self.low_ports_refused and any(0 < want.port < 1024 for want in wanted):
            raise OSError(errno.EACCES, "Permission denied")
        free = [msgspec.structs.replace(want, port=0 if want.port < 1024 else want.port) for want in wanted]
        made = bind_here(network.gateway, free)
        self.sockets += made
        return made

    async def dial(self, network, address, port):
        return await dial_here(address, port)

    async def ensure_image(self, ref, say):
        await self.step("ensure_image")

    async def image(self, ref):
        return ImageFacts("sha256:1", command=("sh",))

    async def create_network(self, run_id, home_label, internal, *, apart=False):
        made = self._create_network(run_id, internal, apart and self.apart)
        return await asyncio.shield(asyncio.ensure_future(made))

    async def _create_network(self, run_id, internal, apart):
        await self.step("create_network")
        self.networks.add(run_id)
        return Network(f"moat-{run_id}", "n1", "127.0.0.1", "127.0.0.0/8", internal, apart)

    async def remove_network(self, network):
        self.networks.clear()

    async def create(self, spec):
        return await asyncio.shield(asyncio.ensure_future(self._create(spec)))

    async def _create(self, spec):
        await self.step("create")
        self.containers.add(spec.run_id)
        agents = f"moat-{spec.run_id}"
        if spec.name != agents:
            made = FakeSidecar(self, spec, f"127.0.7.{len(self.sidecars) + 1}")
            self.sidecars[spec.name.removeprefix(f"{agents}-")] = made
            return made
        self.spec = spec
        return FakeContainer(self)

    async def leftovers(self, home_label):
        await self.step("leftovers")
        return [Leftover("container", run, f"moat-{run}", run) for run in sorted(self.containers)]

    async def remove_run(self, run_id, *, keep_container=False):
        await self.step("remove_run")
        gone = [Leftover("network", "n1", f"moat-{run_id}", run_id)] if run_id in self.networks else []
        self.networks.discard(run_id)
        if not keep_container and run_id in self.containers:
            self.containers.discard(run_id)
            gone.append(Leftover("container", "c1", f"moat-{run_id}", run_id))
        self.end(137)
        return gone


class FakeContainer:
    id = "c1"
    left_out = ()
    lacking = ()

    def __init__(self, engine):
        self._engine = engine

    async def attach(self):
        await self._engine.step("attach")
        self._engine.attachment.open = True
        return self._engine.attachment

    async def start(self):
        await self._engine.step("start")

    async def wait(self):
        await self._engine.step("wait")
        code = await asyncio.shield(self._engine.ended)
        if self._engine.end_waits_for_output:
            await self._engine.attachment.taken.wait()
        return code

    async def stop(self, grace=10):
        await self._engine.step("stop")
        if self._engine.stop_ends_it:
            self._engine.end(143)

    async def kill(self, signal="SIGKILL"):
        await self._engine.step("kill")
        self._engine.end(137)

    async def remove(self):
        self._engine.containers.clear()

    async def resize(self, height, width):
        self._engine.sizes.append((height, width))

    async def exec(self, spec):
        await self._engine.step("exec")
        self._engine.execs.append(FakeExec(spec))
        return self._engine.execs[-1]

    async def address(self):
        await self._engine.step("address")
        return "127.0.0.1"

    async def disconnect(self):
        await self._engine.step("disconnect")

    async def out_of_memory(self):
        return False


class FakeSidecar(FakeContainer):
    """Ready as soon as it is asked; `end` ends it."""

    id = "c2"

    def __init__(self, engine, spec, address):
        super().__init__(engine)
        self.spec = spec
        self.output = FakeAttachment()
        self.ended = asyncio.get_running_loop().create_future()
        self.on_network = True
        self._address = address

    def end(self, code):
        self.output.feed(None)
        self.ended.set_result(code)

    async def attach(self):
        return self.output

    async def start(self):
        await self._engine.step(f"start {self.spec.image}")

    async def wait(self):
        return await asyncio.shield(self.ended)

    async def exec(self, spec):
        answer = FakeExec(spec)
        answer.finish(0)
        return answer

    async def address(self):
        return self._address

    async def image_id(self):
        return "sha256:abc"

    async def disconnect(self):
        self.on_network = False


class FakeAttachment:
    def __init__(self):
        self._pieces = asyncio.Queue()
        self.open = False
        self.given = b""
        self.stdin_closed = asyncio.Event()
        self.taken = asyncio.Event()  # all of it, to its end

    def feed(self, data, stream="stdout"):
        """bytes: printed. None: the output ends. An exception: it breaks."""
        self._pieces.put_nowait(data if data is None or isinstance(data, Exception) else (stream, data))

    async def __aiter__(self):
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
        self.taken.set()

    async def write(self, data):
        self.given += data

    async def close_stdin(self):
        self.stdin_closed.set()

    async def close(self):
        self.open = False


class FakeExec(FakeAttachment):
    """A command that ends when `finish` is called, or when it is hung up."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.open = True
        self.sizes = []
        self.signals = asyncio.Queue()
        self.reads = asyncio.Event()  # until it is set, the command takes no input
        self.reads.set()
        self._code = asyncio.get_running_loop().create_future()

    def finish(self, code):
        self._code.set_result(code)
        self.feed(None)

    async def write(self, data):
        await self.reads.wait()
        await super().write(data)

    async def resize(self, height, width):
        self.sizes.append((height, width))

    async def signal(self, name):
        self.signals.put_nowait(name)
        if name == "HUP":
            self.finish(129)

    async def wait(self):
        return await self._code
