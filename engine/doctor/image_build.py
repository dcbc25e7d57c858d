"""Building the base image from the system's own package mirror, for machines that reach no registry.

mmdebstrap writes a root file system as a tar stream, which goes straight into the daemon's import; no
file of a few hundred MB is kept on the way. Nothing of the mirror but its address without user and
password stays in the image, and the machine's own apt settings do not stay at all.
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError

from engine.doctor.commands import end, environment, root_prefix, run
from engine.doctor.image_create import create_image, tag
from engine.doctor.machine import Machine
from engine.doctor.packages import Source, configured_sources, install, own_release
from engine.errors import ImageUnavailable

Say = Callable[[str], None]

RELEASE = "bookworm"
PACKAGES = ("ca-certificates", "curl", "git", "python3", "openssh-client")
TOOLS = ("curl", "git", "python3", "ssh")  # one command of each package that has one
BUILD_TIMEOUT = 1200.0
_CHUNK = 1 << 18
_SETTINGS = (
    "Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::https::CaInfo", "Acquire::https::CAInfo",
    "Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Retries",
)  # fmt: skip
_SLIM = tuple(f"/usr/share/{part}/*" for part in ("man", "info", "locale", "doc", "groff"))


def debian_lines(sources: Sequence[Source], os_id: str, codename: str) -> tuple[str, list[str]]:
    """The suite to build and its `deb` lines, from this system's own sources.

    On Debian it is bookworm with its updates and security fixes, from the mirror that serves this system's
    release, whichever that is. Any other system gets its own release: its mirror has nothing else.
    """
    own = own_release(sources, codename)
    suite = RELEASE if os_id == "debian" else own
    lines: list[str] = []
    for source in sources:
        pocket = source.release.removeprefix(own)
        usable = urlsplit(source.uri).scheme in ("http", "https") and source.release.startswith(own)
        if usable and pocket in ("", "-updates", "-security") and source.component in ("main", "universe"):
            lines.append(f"deb {source.uri} {suite}{pocket} {source.component}")
    return suite, lines


def without_password(line: str) -> str:
    """A `deb` line whose address carries no user and password."""
    kind, uri, *rest = line.split(" ")
    parts = urlsplit(uri)
    return " ".join([kind, urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), *rest])


def command(suite: str, sources: Path, clean_sources: Path, settings: Path) -> list[str]:
    """mmdebstrap's arguments. Sources and settings go in as files: an address may carry a password."""
    hooks = (
        f"upload {shlex.quote(str(clean_sources))} /etc/apt/sources.list",
        'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap',
    )
    return [
        "mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(PACKAGES)}",
        f"--aptopt={settings}", *(f"--dpkgopt=path-exclude={pattern}" for pattern in _SLIM),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(f"--customize-hook={hook}" for hook in hooks), suite, "-", str(sources),
    ]  # fmt: skip


async def build_image(machine: Machine, docker: aiodocker.Docker, names: Sequence[str], say: Say) -> None:
    """Build the image and give it every one of `names`; on failure none of them exists or moves.

    Raises ImageUnavailable (nothing to build from, or the build failed) and RuntimeFailure (mmdebstrap
    cannot be installed).
    """
    if machine.which("mmdebstrap") is None:
        await install(machine, ["mmdebstrap"], say)
    os_info = machine.os_info
    suite, lines = debian_lines(
        await configured_sources(machine), os_info.get("ID", ""), os_info.get("VERSION_CODENAME", "")
    )
    if not lines:
        raise ImageUnavailable(
            "the base image cannot be built: this system has no package mirror that is reached over HTTP",
            remedy=f"Give Docker the image yourself: docker pull {machine.base_image}",
        )
    if suite != RELEASE:
        say(
            f"this system's mirror does not offer Debian: the image will be {os_info.get('NAME', '')} {suite}"
        )
    say(f"building {' and '.join(names)} from this system's package mirror (about half a minute)")
    with tempfile.TemporaryDirectory(prefix="moat-image-") as directory:
        sources, clean, settings = (
            Path(directory) / name for name in ("sources.list", "clean.list", "apt.conf")
        )
        sources.write_text("".join(f"{line}\n" for line in lines))
        sources.chmod(0o600)
        clean.write_text("".join(f"{without_password(line)}\n" for line in lines))
        clean.chmod(0o644)
        settings.write_text(await _apt_settings(machine))
        settings.chmod(0o600)
        image = await _stream_in(machine, docker, command(suite, sources, clean, settings))
    for name in names:
        await tag(docker, image, name)


async def _apt_settings(machine: Machine) -> str:
    """The few of apt's settings without which the mirror may not be reachable, e.g. a proxy."""
    dumped = await run(machine, ["apt-config", "dump", *_SETTINGS], timeout=30)
    kept = (
        line
        for line in dumped.stdout.splitlines()
        if line.partition(" ")[0] in _SETTINGS and '""' not in line
    )
    return 'Acquire::Retries "3";\n' + "".join(f"{line}\n" for line in kept)


async def _stream_in(machine: Machine, docker: aiodocker.Docker, argv: list[str]) -> str:
    """Run the build with its output going into the daemon; returns the new, still nameless image's id."""
    process = await asyncio.create_subprocess_exec(
        *root_prefix(machine, argv), *argv,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(machine), start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(BUILD_TIMEOUT), asyncio.TaskGroup() as group:
            words = group.create_task(_last_words(process))
            imported = group.create_task(_import(docker, process))
        image, refusal = imported.result()
        if not image:
            raise ImageUnavailable("the base image could not be built", detail=refusal or words.result())
        return image
    except TimeoutError as error:
        raise ImageUnavailable(f"the base image was not built within {BUILD_TIMEOUT:.0f} s") from error
    finally:
        await end(process)


class _BuildFailed(Exception):
    """Breaks the upload off: an import that merely ended early would be taken for a whole image."""


async def _tar(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    while chunk := await process.stdout.read(_CHUNK):
        yield chunk
    if await process.wait() != 0:
        raise _BuildFailed


async def _import(docker: aiodocker.Docker, process: asyncio.subprocess.Process) -> tuple[str, str]:
    """The image's id, or "" and the daemon's refusal, which is "" too when the build broke off."""
    changes = ['CMD ["bash"]', "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    query = [
        ("fromSrc", "-"),
        ("message", "built by moat doctor"),
        *(("changes", change) for change in changes),
    ]
    try:
        messages = await create_image(
            docker, query, body=_tar(process), first_word=BUILD_TIMEOUT, next_word=BUILD_TIMEOUT
        )
    except (_BuildFailed, aiohttp.ClientConnectionError):
        return "", ""
    except DockerError as error:
        return "", f"the Docker engine refused it: {' '.join(error.message.split())}"
    finally:
        await end(process)  # one whose output nobody takes any more would never end
    ids = [
        str(message["status"]) for message in messages if str(message.get("status", "")).startswith("sha256:")
    ]
    return (ids[-1], "") if ids else ("", "the Docker engine named no image")


async def _last_words(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    kept: list[str] = []
    while line := await process.stderr.readline():
        kept = [*kept, line.decode(errors="replace").strip()][-40:]
    grave = [line for line in kept if line.startswith(("E:", "W:", "dpkg: error"))]
    return " / ".join((grave or kept)[-3:])[-400:]
