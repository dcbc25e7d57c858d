"""A run's start and end go to the places that config.yaml names, and nobody waits for them."""

from __future__ import annotations

import threading

from engine.anchors.kept import read_anchored
from engine.heads import read_history
from engine.run.reading.library import verify_run


def wait_for_push() -> None:
    for thread in threading.enumerate():
        if thread.name == "anchoring":
            thread.join(30)


async def test_a_runs_head_is_brought_to_a_directory(one_run, tmp_path):
    stick = tmp_path / "stick"
    stick.mkdir()
    run = one_run()
    run.home.write(
        run.home.config_file, f"audit: {{witnesses: ['{stick}', '{tmp_path / 'gone'}']}}\n".encode()
    )
    run.begin()
    await run.at("wait")
    run.engine.end(0)
    await run.result()
    wait_for_push()
    anchored = {one.place: one for one in read_anchored(run.home)}
    history = read_history(run.home)
    assert history is not None
    assert anchored[str(stick)].size == history.signed
    assert "is not there" in anchored[str(tmp_path / "gone")].problem
    assert verify_run(run.home, run.id).valid


async def test_without_places_nothing_is_started(one_run):
    run = one_run()
    run.begin()
    await run.at("wait")
    run.engine.end(0)
    await run.result()
    assert not [thread for thread in threading.enumerate() if thread.name == "anchoring"]
    assert read_anchored(run.home) == []
