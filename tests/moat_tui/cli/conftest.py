"""A home of its own for every test, fakes under `engine`'s names, and ways to start `moat` for real."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from support.pseudo_terminal import Terminal

import engine
from moat_tui.cli.main import main

LATER, EARLIER = "run_bbbbbbbbbbbb", "run_aaaaaaaaaaaa"
_NEVER_SET = ("GITHUB_TOKEN", "GH_TOKEN", "MOAT_PROFILE", "MOAT_RUNTIME", "MOAT_DEBUG", "NO_COLOR")
_NEVER_SET += ("PYTHONUNBUFFERED",)  # it hides what a buffered stdout does when its reader has gone


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> engine.Home:
    root = tmp_path / "home"
    monkeypatch.setenv("MOAT_HOME", str(root))
    for name in _NEVER_SET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return engine.Home(root)


@pytest.fixture(autouse=True)
def _same_interrupts() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    return lambda name, value: monkeypatch.setattr(engine, name, value, raising=False)


@pytest.fixture
def moat() -> Callable[..., int]:
    return lambda *argv: main(list(argv))


@pytest.fixture
def put_run(home: engine.Home) -> Callable[..., engine.RunInfo]:
    """Write a run's directory as its supervisor would have left it."""

    def put(
        run_id: str = LATER,
        *,
        logs: tuple[engine.LogLine, ...] = (),
        requests: tuple[engine.RequestRecord, ...] = (),
        **fields: object,
    ) -> engine.RunInfo:
        ended = {"name": "swift-otter", "created_at": "2026-01-12T10:00:00Z", "state": engine.RunState.EXITED}
        info = engine.RunInfo(id=run_id, **{**ended, "exit_code": 0, **fields})
        home.write(home.run(run_id) / "metadata.json", msgspec.json.encode(info))
        home.write(home.run(run_id) / "logs.jsonl", b"".join(msgspec.json.encode(x) + b"\n" for x in logs))
        home.write(
            home.run(run_id) / "network.jsonl", b"".join(msgspec.json.encode(x) + b"\n" for x in requests)
        )
        return info

    return put


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`moat` as a process of its own; `prelude` is Python run before it, to put fakes under `engine`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, prelude: str = "", **options: object) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(_program(prelude, argv), **{**pipes, "cwd": tmp_path, **options}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _program(prelude: str, argv: tuple[str, ...]) -> list[str]:
    code = f"import sys, engine\n{prelude}\nfrom moat_tui.cli.main import main\nsys.exit(main())"
    return [sys.executable, "-c", code, *argv]


@pytest.fixture
def terminal():
    opened: list[Terminal] = []

    def open_one(*argv: str, prelude: str = "") -> Terminal:
        opened.append(Terminal(_program(prelude, argv)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
