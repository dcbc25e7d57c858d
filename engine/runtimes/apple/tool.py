"""Apple's `container` program: finding it, asking whether its services run, and running one command of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine.errors import RuntimeUnavailable
from engine.runtimes.apple.errors import INSTALL, explain, is_missing, not_running

ASK_TIMEOUT = 60.0  # seconds; a virtual machine takes one to start, a loaded machine some more
STATUS_TIMEOUT = 15.0  # seconds; the program itself gives its services 10
PULL_TIMEOUT = 3600.0  # seconds
_USUAL = "/usr/local/bin/container"  # where Apple's package puts it; not on every PATH
_OUTPUT_LIMIT = 16 * 1024 * 1024  # bytes


def find_program(environ: Mapping[str, str]) -> str:
    """Its path, "" when it is not here."""
    found = shutil.which("container", path=environ.get("PATH", os.defpath))
    return found or (_USUAL if os.access(_USUAL, os.X_OK) else "")


def why_not(environ: Mapping[str, str]) -> str:
    """What Apple containers lack here: "absent", "stopped", or "" for nothing. Waits for its services."""
    program = find_program(environ)
    if not program:
        return "absent"
    try:
        ended = subprocess.run(
            [program, "system", "status"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STATUS_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "stopped"
    return "" if ended.returncode == 0 else "stopped"


class Tool:
    """Made by `open_tool`. `path` and `environ` are for whoever starts a command that is not waited for."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = dict(environ)
        self._options: dict[tuple[str, ...], str] = {}

    async def ask(
        self,
        doing: str,
        *words: str,
        timeout: float = ASK_TIMEOUT,
        image: str = "",
        missing_is_fine: bool = False,
    ) -> bytes:
        """Run one command; what it printed. Raises RuntimeFailure for a code other than 0."""
        code, output, complaint = await self.run(doing, *words, timeout=timeout)
        message = complaint.decode(errors="replace")
        if code == 0 or (missing_is_fine and is_missing(message)):
            return output
        raise explain(doing, code, message, image=image)

    async def run(self, doing: str, *words: str, timeout: float = ASK_TIMEOUT) -> tuple[int, bytes, bytes]:
        """Its exit code, stdout and stderr. Ended when it takes longer, or when nobody waits any more."""
        process = await self._started(*words)
        try:
            async with asyncio.timeout(timeout):
                output, complaint = await process.communicate()
        except TimeoutError as error:
            raise RuntimeUnavailable(
                f"Apple's `container` did not {doing} within {timeout:g} s",
                remedy="See `container system logs`, then try again.",
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.shield(process.wait())
        assert process.returncode is not None
        return process.returncode, output, complaint

    async def takes(self, option: str, *command: str) -> bool:
        """Whether this release knows an option of a command, by the command's own help."""
        if command not in self._options:
            _, output, _ = await self.run("describe its options", *command, "--help", timeout=STATUS_TIMEOUT)
            self._options[command] = output.decode(errors="replace")
        return option in self._options[command].replace(",", " ").replace("/", " ").split()

    async def _started(self, *words: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self.path,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self.environ,
                limit=_OUTPUT_LIMIT,
                start_new_session=True,  # a ctrl-c in the person's terminal is for Moat
            )
        except OSError as error:
            raise missing(str(error)) from error


async def open_tool(environ: Mapping[str, str]) -> Tool:
    """Raises RuntimeUnavailable when it is not here, or when its services do not run."""
    path = find_program(environ)
    if not path:
        raise missing("there is no program `container` on the PATH")
    tool = Tool(path, environ)
    code, output, complaint = await tool.run("tell its status", "system", "status", timeout=STATUS_TIMEOUT)
    if code != 0:
        said = (output + complaint).decode(errors="replace")
        raise not_running(" ".join(said.split()) or f"`container system status` ended with {code}")
    return tool


def missing(detail: str) -> RuntimeUnavailable:
    return RuntimeUnavailable("Apple's `container` is not installed here", detail=detail, remedy=INSTALL)


def forwards_packets(sysctl: Path = Path("/usr/sbin/sysctl")) -> bool:
    """Whether this Mac passes packets on between networks. True also when that cannot be learned."""
    try:
        ended = subprocess.run(
            [str(sysctl), "-n", "net.inet.ip.forwarding"],
            capture_output=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return ended.stdout.strip() != b"0"
