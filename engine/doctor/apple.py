"""Are Apple containers ready? Never needed: where they are not, Docker is used."""

from __future__ import annotations

import asyncio
import os

from engine.doctor.results import CheckResult, CheckState
from engine.runtimes import HostFacts
from engine.runtimes.apple.errors import INSTALL, START
from engine.runtimes.apple.tool import Tool, find_program


async def check_apple() -> CheckResult:
    host = await asyncio.to_thread(HostFacts.read)
    if not host.apple_capable:
        return _result(CheckState.OK, "not for this machine: they need macOS 26 on Apple Silicon")
    if host.apple_lacks == "absent":
        return _result(CheckState.WARN, "Apple's `container` is not installed; Docker is used", INSTALL)
    if host.apple_lacks:
        return _result(CheckState.WARN, "the services of `container` do not run; Docker is used", START)
    _, output, _ = await Tool(find_program(os.environ), os.environ).run("tell its version", "--version")
    return _result(
        CheckState.OK, f"{output.decode(errors='replace').strip()}; used unless --runtime says else"
    )


def _result(state: CheckState, message: str, remedy: str = "") -> CheckResult:
    return CheckResult("apple", "Apple containers", state, message, remedy, needed=False)
