"""`/etc/docker/daemon.json`: adding gVisor to what is there, and nothing else.

The merges are pure; only `write_config` touches the disk, and it replaces the file whole. A file that is
not a JSON object is never touched: it is somebody's work with a typing error in it.
Source of the keys: dockerd's documentation, "Configure container runtimes".
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
from pathlib import Path
from typing import Any

from engine.doctor.commands import run_as_root
from engine.doctor.machine import Machine
from engine.errors import ConfigError, RuntimeFailure

RUNTIME = "runsc"
HOST_NETWORK = "--network=host"

Config = dict[str, Any]


def read_config(path: Path) -> Config:
    """The configuration; {} when there is none. Raises ConfigError for anything but a JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot be read", file=path, detail=str(error), remedy=_BY_HAND) from error
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            "is not valid JSON, so Moat leaves it alone",
            file=path, line=error.lineno, detail=error.msg, remedy=_BY_HAND,
        ) from error  # fmt: skip
    if not isinstance(config, dict) or not isinstance(config.get("runtimes", {}), dict):
        raise ConfigError(
            "is not a JSON object with runtimes, so Moat leaves it alone", file=path, remedy=_BY_HAND
        )
    return config


_BY_HAND = 'Repair it by hand; gVisor needs {"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}} in it.'


def with_runtime(config: Config, program: str, *, replace: bool = False) -> Config:
    """`config` with gVisor registered as `runsc`.

    An entry that exists keeps its arguments, and keeps its path too unless `replace` says that the path
    is known not to work.
    """
    runtimes = dict(config.get("runtimes") or {})
    entry = dict(runtimes.get(RUNTIME) or {})
    if replace or not (entry.get("path") or entry.get("runtimeType")):
        entry["path"] = program
    runtimes[RUNTIME] = entry
    return {**config, "runtimes": runtimes}


def with_host_network(config: Config) -> Config:
    """`config` whose `runsc` uses the container's own network namespace directly.

    "host" is as seen from gVisor: the namespace Docker made for the container, not the machine's. Another
    `--network=` is replaced, everything else is kept.
    """
    runtimes = dict(config.get("runtimes") or {})
    entry = dict(runtimes.get(RUNTIME) or {})
    kept = [a for a in entry.get("runtimeArgs") or [] if not str(a).lstrip("-").startswith("network=")]
    entry["runtimeArgs"] = [*kept, HOST_NETWORK]
    runtimes[RUNTIME] = entry
    return {**config, "runtimes": runtimes}


async def write_config(machine: Machine, config: Config) -> None:
    """Replace the daemon's configuration whole, keeping its mode; as root when this user may not."""
    path = Path(os.path.realpath(machine.daemon_json))
    text = json.dumps(config, indent=2) + "\n"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.moat")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(mode)
        os.replace(temporary, path)
    except PermissionError:
        script = (
            f"mkdir -p {_q(path.parent)} && printf %s {_q(text)} > {_q(temporary)} && "
            f"chmod {mode:o} {_q(temporary)} && mv {_q(temporary)} {_q(path)}"
        )
        finished = await run_as_root(machine, ["sh", "-c", script], timeout=30)
        if not finished.ok:
            raise RuntimeFailure(f"{path} could not be written", detail=finished.last_words) from None
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RuntimeFailure(
            f"{path} could not be written", detail=error.strerror or "", remedy="The old file is untouched."
        ) from error


def _q(text: object) -> str:
    return shlex.quote(str(text))
