import pytest
from support.fake_runtime import FakeRuntime

from engine.doctor.leftovers import find_leftovers
from engine.events import RunInfo, RunState
from engine.home import Home
from engine.run.metadata import SupervisorLock, write_metadata
from engine.runtimes import DockerRuntime

BORN, KEPT, DEAD = "run_aaaaaaaaaaaa", "run_bbbbbbbbbbbb", "run_cccccccccccc"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.ensure_dir(home.runs)
    return home


async def test_a_run_that_begins_while_docker_is_asked_is_no_leftover(home, monkeypatch):
    locks = []

    class Engine(FakeRuntime):
        async def leftovers(self, home_label):
            home.ensure_dir(home.run(BORN))
            locks.append(SupervisorLock(home, BORN))  # and no metadata yet
            self.containers = {BORN, KEPT, DEAD}
            return await super().leftovers(home_label)

    engine = Engine()
    monkeypatch.setattr(DockerRuntime, "connect", lambda environ: engine)
    home.ensure_dir(home.run(KEPT))
    kept = RunInfo(id=KEPT, name="n", created_at="2026-01-01T00:00:00Z", state=RunState.EXITED, keep=True)
    write_metadata(home, kept)
    assert await find_leftovers(home) == [f"container moat-{DEAD}"]
    locks[0].release()
