"""Installing Debian packages from the mirror this system already uses, its backports included.

Nothing lasting is written to apt's configuration: where backports are not among the system's sources
they are looked at through a sources directory and package lists of our own, thrown away afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from engine.doctor.commands import Finished, run, run_as_root
from engine.doctor.machine import Machine
from engine.errors import RuntimeFailure

Say = Callable[[str], None]

UPDATE_TIMEOUT = 300.0
INSTALL_TIMEOUT = 900.0
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}
_WAIT_FOR_LOCK = ("-o", "DPkg::Lock::Timeout=120")
_TARGET_FORMAT = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
_DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Source(msgspec.Struct, frozen=True):
    """One configured index: release e.g. "bookworm-updates", component e.g. "main", uri with a slash."""

    release: str
    component: str
    uri: str


class Backports(msgspec.Struct, frozen=True):
    """How to see backports: their release name and the options that apt needs for it."""

    release: str
    options: tuple[str, ...] = ()


def parse_sources(text: str) -> list[Source]:
    """The lines of `apt-get indextargets` in the format `configured_sources` asks for, without repeats."""
    rows = (line.split("|") for line in text.splitlines())
    return list(dict.fromkeys(Source(*(part.strip() for part in row)) for row in rows if len(row) == 3))


async def configured_sources(machine: Machine) -> list[Source]:
    """The binary package sources this system is set up with; an empty list when apt has none."""
    argv = ["apt-get", "indextargets", "--format", _TARGET_FORMAT, "Created-By: Packages"]
    finished = await run(machine, argv, timeout=30)
    return parse_sources(finished.stdout)


def own_release(sources: Sequence[Source], codename: str) -> str:
    """The name under which the sources list this system's main release: its codename, or e.g. "stable"."""
    names = [source.release for source in sources if source.component == "main"]
    plain = [name for name in names if not any(mark in name for mark in "-/")]
    return codename if codename in names or not plain else plain[0]


def backports_line(sources: Sequence[Source], release: str, *, signed_by: str) -> str:
    """A one-line-style source for `release`'s backports on the mirror of `release` itself; "" without one."""
    own = [source for source in sources if source.release == release]
    if not own:
        return ""
    components = " ".join(dict.fromkeys(source.component for source in own if source.uri == own[0].uri))
    options = f"[signed-by={signed_by}] " if signed_by else ""
    return f"deb {options}{own[0].uri} {release}-backports {components}"


class Offer(msgspec.Struct, frozen=True):
    """One version that one release of the mirror has."""

    package: str
    version: str
    release: str


def parse_offers(madison: str) -> list[Offer]:
    """The binary packages in `apt-cache madison`: "name | version | uri release/component arch Packages"."""
    offers: list[Offer] = []
    for line in madison.splitlines():
        parts = [part.strip() for part in line.split("|")]
        origin = parts[-1].split()
        if len(parts) == 3 and origin[-1:] == ["Packages"] and len(origin) >= 3:
            offers.append(Offer(parts[0], parts[1], origin[1].partition("/")[0]))
    return offers


async def newest(machine: Machine, offers: Sequence[Offer], package: str) -> str:
    """The highest version offered of a package, by dpkg's own rules; "" when none is offered."""
    best = ""
    for version in dict.fromkeys(offer.version for offer in offers if offer.package == package):
        if (
            not best
            or (await run(machine, ["dpkg", "--compare-versions", version, "gt", best], timeout=10)).ok
        ):
            best = version
    return best


async def install(machine: Machine, names: Sequence[str], say: Say) -> bool:
    """Install the newest offered release of each package; False when all are that new already.

    Raises RuntimeFailure with apt's own words and the command to run by hand.
    """
    if machine.which("apt-get") is None:
        raise RuntimeFailure(
            "this system has no apt-get, so Moat cannot install packages on it",
            remedy=f"Install {' and '.join(names)} with its own package manager.",
        )
    say(f"asking this system's package mirror for {', '.join(names)}")
    if {offer.package for offer in await _offered(machine, names)} != set(names):
        await _update(machine)
    async with _backports(machine) as backports:
        offers = await _offered(machine, names, backports.options if backports else ())
        best = {name: await newest(machine, offers, name) for name in names}
        plain = {
            (o.package, o.version) for o in offers if backports is None or o.release != backports.release
        }
        options: list[str] = []
        if backports is not None and not plain.issuperset((n, v) for n, v in best.items() if v):
            options = [*backports.options, "-t", backports.release]  # what they depend on may be there too
        here = await _installed(machine, names)
        if all(version and here.get(name) == version for name, version in best.items()):
            say(f"{', '.join(names)}: the newest release offered is already here")
            return False
        wanted = [f"{name}={version}" if version else name for name, version in best.items()]
        say(
            f"installing {' '.join(wanted)}"
            + (f", with {backports.release}" if options and backports else "")
        )
        finished = await _install(machine, wanted, options)
    if not finished.ok:  # the lists may name releases that the mirror no longer has
        await _update(machine)
        finished = await _install(machine, names, [])
    if not finished.ok:
        raise RuntimeFailure(
            f"{', '.join(names)} could not be installed",
            detail=finished.last_words,
            remedy=f"Try it by hand: sudo apt-get update && sudo apt-get install {' '.join(names)}",
        )
    return True


async def _installed(machine: Machine, names: Sequence[str]) -> dict[str, str]:
    """The versions of those packages that are completely installed."""
    layout = "${db:Status-Status} ${Package} ${Version}\n"
    shown = await run(machine, ["dpkg-query", "-W", f"-f={layout}", *names], timeout=30)
    rows = (line.split(" ") for line in shown.stdout.splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}


async def _install(machine: Machine, wanted: Sequence[str], options: Sequence[str]) -> Finished:
    argv = ["apt-get", "-q", "-y", "--no-install-recommends", *_WAIT_FOR_LOCK, *options, "install", *wanted]
    return await run_as_root(machine, argv, timeout=INSTALL_TIMEOUT, env=_QUIET)


async def _update(machine: Machine) -> None:
    finished = await run_as_root(
        machine, ["apt-get", "-q", *_WAIT_FOR_LOCK, "update"], timeout=UPDATE_TIMEOUT, env=_QUIET
    )
    if not finished.ok:
        raise RuntimeFailure(
            "the system's package lists could not be updated",
            detail=finished.last_words,
            remedy="Check the network and the system's package sources (sudo apt-get update).",
        )


async def _offered(machine: Machine, names: Sequence[str], options: Sequence[str] = ()) -> list[Offer]:
    return parse_offers((await run(machine, ["apt-cache", *options, "madison", *names], timeout=60)).stdout)


@contextlib.asynccontextmanager
async def _backports(machine: Machine) -> AsyncIterator[Backports | None]:
    """A view of the system's packages with backports in it; None where the mirror has none for it."""
    sources = await configured_sources(machine)
    release = own_release(sources, machine.os_info.get("VERSION_CODENAME", ""))
    configured = next((s.release for s in sources if s.release == f"{release}-backports"), "")
    keyring = _DEBIAN_KEYRING if machine.os_info.get("ID") == "debian" and _DEBIAN_KEYRING.exists() else ""
    line = backports_line(sources, release, signed_by=str(keyring))
    if configured or not line:
        yield Backports(configured) if configured else None
        return
    scratch = Path(tempfile.mkdtemp(prefix="moat-apt-"))
    try:
        only_backports = _lay_out(machine, scratch, line)
        update = await run_as_root(
            machine,
            ["apt-get", "-q", *_WAIT_FOR_LOCK, *only_backports, "update"],
            timeout=UPDATE_TIMEOUT,
            env=_QUIET,
        )
        yield Backports(f"{release}-backports", tuple(_all_sources(scratch))) if update.ok else None
    finally:
        if machine.uid != 0:  # apt, run as root, has left directories here that belong to its own user
            await run_as_root(machine, ["rm", "-rf", str(scratch)], timeout=60)
        shutil.rmtree(scratch, ignore_errors=True)


def _lay_out(machine: Machine, scratch: Path, line: str) -> list[str]:
    """Fill `scratch` with a copy of the system's sources and lists plus `line`.

    Returns the options with which `apt-get update` fetches the lists of that one line and keeps the rest.
    """
    parts, lists = scratch / "sources", scratch / "lists"
    only = scratch / "backports.list"
    for directory in (parts, lists, lists / "partial"):
        directory.mkdir()
    for directory in (scratch, parts, lists):
        directory.chmod(0o755)  # apt reads them as its own user
    only.write_text(line + "\n")
    only.chmod(0o600 if "@" in line else 0o644)  # a mirror's address may carry a password
    shutil.copy(only, parts / "moat-backports.list")
    for source in machine.apt_sources.glob("*") if machine.apt_sources.is_dir() else ():
        with contextlib.suppress(OSError):
            shutil.copy(source, parts)
    for found in machine.apt_lists.iterdir() if machine.apt_lists.is_dir() else ():
        if found.is_file() and found.name != "lock":
            os.symlink(found, lists / found.name)
    return [
        "-o", f"Dir::Etc::sourcelist={only}", "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::lists={lists}", "-o", "APT::Get::List-Cleanup=0", *_NO_CACHE,
    ]  # fmt: skip


def _all_sources(scratch: Path) -> list[str]:
    parts, lists = scratch / "sources", scratch / "lists"
    return ["-o", f"Dir::Etc::sourceparts={parts}", "-o", f"Dir::State::lists={lists}", *_NO_CACHE]


# apt's binary caches describe the system's own sources; ours must not overwrite them.
_NO_CACHE = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
