"""The pictures in `screenshots/` are what the screen shows now, drawn from what the engine does now."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from support.make_screenshots import DRAWN, PICTURES, SESSION, draw
from support.record_session import record

STALE = "the screen has changed: make pictures, and look at them"


@pytest.mark.parametrize("name", DRAWN)
async def test_a_picture_is_not_stale(name):
    drawn = await draw(name)
    assert (PICTURES / f"{name}.svg").read_text(encoding="utf-8") == drawn, STALE


def test_every_png_is_made_from_its_svg_and_nothing_else_lies_there():
    for name in DRAWN:
        svg = (PICTURES / f"{name}.svg").read_bytes()
        with Image.open(PICTURES / f"{name}.png") as image:
            assert image.text["svg"] == sha256(svg).hexdigest(), f"{name}: {STALE}"
    assert {file.stem for file in PICTURES.glob("*.*")} == set(DRAWN)


@pytest.mark.docker
@pytest.mark.gvisor
def test_the_recorded_session_is_what_the_engine_does_now(tmp_path):
    record(tmp_path / "session", pace=0)
    assert _shape(tmp_path / "session") == _shape(SESSION), "make screenshots"


def _shape(session: Path) -> dict[str, object]:
    """Of every run what does not differ from one recording to the next."""
    found = {}
    for folder in (session / "home" / "runs").iterdir():
        run = json.loads((folder / "metadata.json").read_bytes())
        output = [json.loads(line) for line in (folder / "logs.jsonl").read_bytes().splitlines()]
        requests = [json.loads(line) for line in (folder / "network.jsonl").read_bytes().splitlines()]
        found[run["name"]] = {
            "files": sorted(file.name for file in folder.iterdir()),
            "run": [
                run.get(key) for key in ("state", "exit_code", "grants", "policy", "sandbox", "workspace")
            ],
            "output": sorted((line.get("stream", ""), line["line"]) for line in output),
            "requests": [
                [request.get(key) for key in ("method", "url", "status_code", "grant", "decision")]
                for request in requests
            ],
        }
    return found
