"""A sidecar on a scripted engine: waited for, read, missed when it ends, and never in the way of the end."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from support.fake_runtime import FakeAttachment

from engine.errors import ContainerFailed, ImageUnavailable, RuntimeUnavailable
from engine.home import Home
from engine.proxy.mask import Masker
from engine.run.beside import sidecar
from engine.run.beside.sidecar import Sidecars, SidecarSpec
from engine.runtimes import ContainerSpec, Network

PATIENCE = 20
NETWORK = Network("moat-run_1", "n1", "10.0.0.13", "10.0.0.0/28", True, True)


class Answer(FakeAttachment):
    """One readiness command, over at once."""

    def __init__(self, code):
        super().__init__()
        self.code = code
        self.feed(None)

    async def wait(self):
        return self.code


class Made:
    """A container. answers: exit codes of readiness commands, the last of them for ever."""

    id = "c9"
    left_out = ()
    removed = False

    def __init__(self, answers=(0,), address="10.0.0.2"):
        self.answers = list(answers)
        self.output = FakeAttachment()
        self.ended = asyncio.get_running_loop().create_future()
        self.on_network = True
        self.oom = False
        self.asked = []
        self._address = address

    def end(self, code, said=b""):
        self.output.feed(said, "stderr")
        self.output.feed(None)
        self.ended.set_result(code)

    async def attach(self):
        self.output.open = True
        return self.output

    async def start(self):
        pass

    async def wait(self):
        return await asyncio.shield(self.ended)

    async def out_of_memory(self):
        return self.oom

    async def address(self):
        return self._address

    async def image_id(self):
        return "sha256:abc"

    async def exec(self, spec):
        self.asked.append(spec.command)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer)

    async def remove(self):
        self.removed = True

    async def disconnect(self):
        if isinstance(self.on_network, Exception):
            raise self.on_network
        self.on_network = False


class Engine:
    def __init__(self, *made):
        self.made = list(made)
        self.images = []

    async def ensure_image(self, ref, say):
        self.images.append(ref)
        if ref == "missing":
            raise ImageUnavailable("the image missing is not here")

    async def create(self, spec):
        return self.made.pop(0)


class Recorder:
    masker = Masker(("hunter2hunter2",))

    def __init__(self):
        self.entries = []

    async def note(self, entry):
        kind, data = entry
        self.entries.append((kind, data["action"], data["reason"]))


class Beside:
    def __init__(self, home):
        self.recorder = Recorder()
        self.notices = []
        self.said = []
        self.home = home
        self.lost = []
        self.sidecars = Sidecars(home, "run_1", self.recorder, self._lost)

    def _lost(self, what, said):
        self.lost.append(what)
        self.notices.append(said)

    async def start(self, made, name="postgres", image="postgres:17", **more):
        spec = ContainerSpec(
            run_id="run_1", home_label="h", name=f"moat-run_1-{name}", image=image, network=NETWORK,
            memory_mb=64,
        )  # fmt: skip
        wanted = SidecarSpec(
            name=name, title=f"the service {name}", container=spec, ready=("is_ready",), **more
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            await self.sidecars.start(Engine(made), wanted, self.said.append)

    async def ready(self):
        """Raises as the group's only error."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.sidecars.ready(self.said.append)
        except* ContainerFailed as group:
            raise group.exceptions[0] from None

    async def until(self, what):
        async with asyncio.timeout(PATIENCE):
            while not what():  # noqa: ASYNC110 - whoever says it has no event for it
                await asyncio.sleep(0.005)


@pytest.fixture
async def beside(tmp_path, monkeypatch):
    monkeypatch.setattr(sidecar, "_FIRST_PAUSE", 0.001)
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run("run_1"))
    made = Beside(home)
    async with made.sidecars:
        yield made


async def test_the_agent_waits_until_it_answers(beside):
    made = Made(answers=[RuntimeUnavailable("busy"), 2, 1, 0])
    await beside.start(made)
    await beside.ready()
    assert made.asked == [("is_ready",)] * 4
    assert beside.sidecars.hosts == {"postgres": "10.0.0.2"}
    assert beside.recorder.entries == [
        ("container", "sidecar", "postgres started, image postgres:17, image id sha256:abc")
    ]
    assert beside.said == beside.notices == []


async def test_long_waiting_is_said_and_its_end_too(beside, monkeypatch):
    monkeypatch.setattr(sidecar, "_QUIET", 0.0)
    await beside.start(Made(answers=[1, 1, 1, 0]))
    await beside.ready()
    assert beside.said == ["waiting for the service postgres", "the service postgres is ready"]


async def test_one_that_ends_before_it_is_ready_ends_the_start_with_its_last_words(beside):
    made = Made(answers=[1])
    await beside.start(made)
    made.end(3, b"one\ntwo\nthe password hunter2hunter2 is \x1b[31mwrong\x1b]0;x\x07\n\nlast\n")
    with pytest.raises(ContainerFailed) as caught:
        await beside.ready()
    what, detail, remedy = caught.value.lines()
    assert what == "the service postgres ended with exit code 3"
    assert detail == "It said last: two | the password [REDACTED] is [31mwrong ]0;x | last"
    path = beside.home.run("run_1") / "postgres.log"
    assert str(path) in remedy
    kept = path.read_text()
    assert kept.startswith("one\ntwo\n")
    assert "hunter2" not in kept
    assert "\x1b" not in kept
    assert path.stat().st_mode & 0o777 == 0o600
    assert beside.notices == []


async def test_one_that_is_never_ready_is_given_up(beside, monkeypatch):
    monkeypatch.setattr(sidecar, "READY_TIMEOUT", 0.02)
    await beside.start(Made(answers=[1]))
    with pytest.raises(ContainerFailed, match=r"was not ready within 0\.02 s"):
        await beside.ready()


async def test_an_image_that_cannot_be_asked_is_named(beside):
    await beside.start(Made(answers=[127]), image="evil:1")
    with pytest.raises(ContainerFailed, match="evil:1 has no is_ready"):
        await beside.ready()


async def test_a_container_that_is_just_ending_looks_as_if_it_had_no_programs(beside):
    made = Made(answers=[127, 127, 0])
    await beside.start(made)
    await beside.ready()
    assert len(made.asked) == 3


async def test_a_question_without_an_answer_is_asked_again(beside, monkeypatch):
    monkeypatch.setattr(sidecar, "_ASK", 0.02)
    made = Made(answers=[0])
    stuck = Answer(0)
    stuck._pieces.get_nowait()  # its output never ends
    asked = []

    async def exec(spec):
        asked.append(spec)
        return stuck if len(asked) == 1 else Answer(0)

    made.exec = exec
    await beside.start(made)
    await beside.ready()
    assert len(asked) == 2
    assert not stuck.open


async def test_one_that_is_not_waited_for_is_missed_only_once_the_agent_runs(beside):
    made = Made(answers=[1])
    await beside.start(made, wait=False)
    made.end(1, b"no space left\n")
    await asyncio.wait_for(beside.sidecars._all[0].ended.wait(), PATIENCE)
    assert beside.notices == []
    await beside.ready()
    await beside.until(lambda: beside.notices)
    assert beside.notices[0].startswith(
        "the service postgres ended with exit code 1. It said last: no space left. More of what it said is in"
    )
    assert made.asked == []


async def test_its_end_while_the_agent_runs_is_said_and_recorded(beside):
    made = Made()
    await beside.start(made)
    await beside.ready()
    made.oom = True
    made.end(137)
    await beside.until(lambda: beside.notices)
    said = "ended with exit code 137, out of memory (its limit is 64 MB)"
    assert beside.notices == [f"the service postgres {said}. It said nothing."]
    assert beside.lost == [f"postgres {said}"]
    assert beside.recorder.entries[-1] == ("container", "sidecar", f"postgres {said}")


async def test_one_that_ended_as_soon_as_it_began_has_no_address_and_is_named(beside):
    made = Made(address="")
    made.end(1, b"initdb: cannot be run as root\n")
    with pytest.raises(ContainerFailed, match="ended with exit code 1") as caught:
        await beside.start(made)
    assert "initdb: cannot be run as root" in caught.value.detail


async def test_an_image_that_cannot_be_had_starts_nothing(beside):
    made = Made()
    with pytest.raises(ImageUnavailable):
        await beside.start(made, image="missing")
    assert beside.sidecars.hosts == {}
    assert not made.output.open


async def test_output_without_end_is_read_and_only_its_end_is_kept(beside):
    made = Made()
    await beside.start(made)
    for number in range(2000):
        made.output.feed(f"line {number} {'x' * 5000}\n".encode())
    each = beside.sidecars._all[0]
    await beside.until(lambda: each.lines and each.lines[-1].startswith("line 1999"))
    assert len(each.lines) == 200
    assert max(map(len, each.lines)) == 1000


async def test_the_end_of_the_run_is_no_end_that_is_told(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.run("run_1"))
    beside = Beside(home)
    made = Made()
    with contextlib.suppress(ZeroDivisionError):
        async with beside.sidecars:
            await beside.start(made)
            await beside.ready()
            raise ZeroDivisionError  # as itself, and not in a group
    made.end(137)
    await asyncio.sleep(0)
    assert beside.notices == []
    assert not made.output.open


async def test_all_leave_the_network_also_where_one_cannot(beside):
    made = [Made(address=f"10.0.0.{number}") for number in (2, 3, 4)]
    for number, each in enumerate(made):
        await beside.start(each, name=f"s{number}", proxied=number == 1)
    assert beside.sidecars.strangers == ("10.0.0.2", "10.0.0.4")
    made[1].on_network = RuntimeUnavailable("Docker is gone")
    with pytest.raises(RuntimeUnavailable):
        await beside.sidecars.disconnect()
    assert [each.on_network for each in (made[0], made[2])] == [False, False]


async def test_one_can_be_waited_for_and_asked_by_whoever_started_it(beside):
    made = Made(answers=(1, 0, 7))
    await beside.start(made, wait=False)
    async with asyncio.timeout(PATIENCE):
        await beside.sidecars.until_ready("postgres", beside.said.append)
        assert await beside.sidecars.exit_code("postgres", ("probe",)) == 7
    assert made.asked == [("is_ready",), ("is_ready",), ("probe",)]
    made.answers = [RuntimeUnavailable("gone")]
    assert await beside.sidecars.exit_code("postgres", ("probe",)) is None
    assert beside.sidecars.container_id("postgres") == "c9"


async def test_one_that_is_given_up_leaves_no_trace_and_its_end_is_not_told(beside):
    made = Made()
    await beside.start(made)
    await beside.sidecars.give_up("postgres")
    await beside.sidecars.give_up("never started")
    assert made.removed
    assert not made.output.open
    assert beside.sidecars.hosts == {}
    await beside.ready()
    made.end(137)
    await asyncio.wait(beside.sidecars._tasks, timeout=PATIENCE)
    assert beside.notices == []
