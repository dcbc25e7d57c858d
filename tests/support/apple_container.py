"""A scripted `container`: answers as Apple's does, by its documentation and sources, in three generations.

A container is a directory tree that bubblewrap enters; it has no network of its own and no virtual machine.
Run as a program, with its state in the directory FAKE_CONTAINER. The state's `config.json`:

    release     "0.5", "0.9" or "1.0": which shapes and options
    running     whether the services run
    images      reference -> the image's configuration
    pull_error  what a pull fails with, "" for a pull that gives any image
    late_exec   whether a container is said to run until something is executed in it, which fails then
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

XPC = (
    'Error: interrupted: "internalError: "failed to list containers" '
    '(cause: "interrupted: "XPC connection error: Connection invalid"")\n'
    'Ensure container system service has been started with `container system start`."'
)
STOPPED = "apiserver is not running and not registered with launchd"
GATEWAY, SUBNET = "127.0.0.1", "127.0.0.0/8"
IMAGE = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["sh"]}


def install(where: Path, *, release: str = "1.0", **changes: object) -> Path:
    """Make the program `container` in `where`/bin and its state in `where`/state, which is returned."""
    from engine.runtimes.bubblewrap.program import find_program

    state, program = where / "state", where / "bin" / "container"
    program.parent.mkdir(parents=True, exist_ok=True)
    bwrap = find_program()
    program.write_text(
        f"#!/bin/sh\nFAKE_CONTAINER={state} BWRAP={bwrap.path} LIBRARIES={bwrap.libraries}"
        f' exec {sys.executable} -IS {__file__} "$@"\n'
    )
    program.chmod(0o755)
    root = state / "root"
    for name in ("etc", "home", "run", "root", "tmp", "workspace", "opt", "usr", "proc", "dev", ".moat"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\n")
    for name in ("containers", "networks"):
        (state / name).mkdir()
    configure(state, release=release, running=True, images={"debian:bookworm-slim": IMAGE})
    configure(state, pull_error="", late_exec=False)
    configure(state, **changes)
    return state


def configure(state: Path, **changes: object) -> None:
    file = state / "config.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(known | changes))
    fresh.replace(file)


def calls(state: Path) -> list[list[str]]:
    """The arguments of every command so far."""
    return [json.loads(line) for line in (state / "calls.jsonl").read_text().splitlines()]


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


class Failed(Exception):
    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Program:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.config = json.loads((state / "config.json").read_text())
        self.new = self.config["release"] == "1.0"

    def main(self, words: list[str]) -> int:
        with (self.state / "calls.jsonl").open("a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.write(json.dumps(words) + "\n")
        if words[:2] == ["system", "status"]:
            running = self.config["running"]
            say(
                "apiserver is running"
                if running
                else "apiserver is not running and not registered with launchd"
            )
            return 0 if running else 1
        if words == ["--version"]:
            say(f"container CLI version {self.config['release']} (build: release, commit: ee848e3)")
            return 0
        if words[-1] == "--help":
            say(
                "OPTIONS:\n  -e, --env <env>\n  --no-dns\n  --internal"
                + ("\n  --cap-drop <cap>\n  --init" * self.new)
            )
            return 0
        if not self.config["running"]:
            raise Failed(XPC)
        name = "_".join(words[:2]) if words[0] in ("network", "image") else words[0]
        return getattr(self, name)(words[2:] if "_" in name else words[1:]) or 0

    # networks

    def network_create(self, words: list[str]) -> None:
        name, options = words[-1], words[:-1]
        if "--internal" in options and self.config["release"] == "0.5":
            raise Failed("Error: Unknown option '--internal'\nUsage: container network create …", 64)
        file = self.state / "networks" / name
        if file.exists():
            raise Failed(f'Error: exists: "network {name} already exists"')
        labels = dict(pair.split("=", 1) for flag, pair in pairwise(options) if flag == "--label")
        file.write_text(
            json.dumps({"labels": labels, "mode": "hostOnly" if "--internal" in options else "nat"})
        )
        say(name)

    def _network(self, file: Path) -> dict[str, object]:
        known = json.loads(file.read_text())
        if self.new:
            return {
                "id": file.name,
                "configuration": {"name": file.name, "mode": known["mode"], "labels": known["labels"]},
                "status": {"ipv4Subnet": SUBNET, "ipv4Gateway": GATEWAY},
            }
        status = (
            {"address": SUBNET, "gateway": GATEWAY}
            if self.config["release"] == "0.5"
            else {"ipv4Subnet": SUBNET, "ipv4Gateway": GATEWAY, "ipv6Subnet": "fd00::/64"}
        )
        config = {"id": file.name, "mode": known["mode"], "labels": known["labels"]}
        return {"id": file.name, "state": "running", "config": config, "status": status}

    def network_inspect(self, words: list[str]) -> None:
        files = [self.state / "networks" / name for name in words]
        say(json.dumps([self._network(file) for file in files if file.exists()]))

    def network_list(self, words: list[str]) -> None:
        say(json.dumps([self._network(file) for file in sorted((self.state / "networks").iterdir())]))

    def network_delete(self, words: list[str]) -> None:
        (name,) = words
        file = self.state / "networks" / name
        if not file.exists():
            raise Failed(f'Error: notFound: "failed to delete one or more networks: ["{name}"]"')
        with self._alone():
            others = [json.loads(other.read_text()) for other in (self.state / "containers").glob("*.json")]
        if any(other["network"] == name for other in others):
            raise Failed(f'Error: internalError: "delete failed for one or more networks: ["{name}"]"')
        file.unlink()
        say(name)

    # images

    def image_inspect(self, words: list[str]) -> None:
        (ref,) = words
        if ref not in self.config["images"]:
            raise Failed(f'Error: notFound: "Image {ref} not found"')
        platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
        config = {"architecture": "arm64", "os": "linux", "config": self.config["images"][ref]}
        say(
            json.dumps(
                [
                    {
                        "name": ref,
                        "index": {},
                        "variants": [{"platform": platform, "size": 1, "config": config}],
                    }
                ]
            )
        )

    def image_pull(self, words: list[str]) -> None:
        (ref,) = words
        if self.config["pull_error"]:
            raise Failed(f"Error: {self.config['pull_error']}")
        configure(self.state, images={**self.config["images"], ref: IMAGE})

    # containers

    def create(self, words: list[str]) -> None:
        made: dict[str, object] = {"labels": {}, "mounts": [], "caps": [], "tty": False, "interactive": False}
        rest = list(words)
        while rest and rest[0].startswith("--"):
            flag = rest.pop(0)
            if flag in ("--tty", "--interactive", "--no-dns", "--init"):
                made[flag[2:]] = True
                continue
            value = rest.pop(0)
            if flag == "--label":
                made["labels"] |= dict([value.split("=", 1)])
            elif flag == "--mount":
                fields = dict(part.partition("=")[::2] for part in value.split(","))
                made["mounts"].append([fields["source"], fields["target"], "readonly" in fields])
            elif flag == "--volume":
                source, target, *more = value.split(":")
                made["mounts"].append([source, target, bool(more)])
            else:
                made[flag[2:]] = value
        for source, _, _ in made["mounts"]:
            if not Path(source).is_dir():
                raise Failed(f"Error: invalidArgument: \"path '{source}' is not a directory\"")
        file = self._file(str(made["name"]))
        if file.exists():
            raise Failed(
                'Error: internalError: "failed to create container" '
                f'(cause: "exists: "container with id {made["name"]} already exists"")'
            )
        ref, *agent = rest
        if ref not in self.config["images"]:
            raise Failed(f'Error: notFound: "Image {ref} not found"')
        file.write_text(
            json.dumps(made | {"words": [made["entrypoint"], *agent], "status": "stopped", "pid": 0})
        )
        say(made["name"])

    def _file(self, name: str) -> Path:
        return self.state / "containers" / f"{name}.json"

    def _read(self, name: str) -> dict[str, object]:
        try:
            return json.loads(self._file(name).read_text())
        except FileNotFoundError:
            raise Failed(f"Error: No such container: {name}") from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Every command is a process; no two of them change what is known of a container at once."""
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, **changes: object) -> None:
        file = self._file(name)
        with self._alone():
            if file.exists():
                fresh = file.with_suffix(f".{os.getpid()}")
                fresh.write_text(json.dumps(self._read(name) | changes))
                fresh.replace(file)

    def _described(self, name: str) -> dict[str, object]:
        made = self._read(name)
        networks = []
        if made["status"] == "running":
            keys = (
                ("address", "gateway") if self.config["release"] == "0.5" else ("ipv4Address", "ipv4Gateway")
            )
            networks = [
                {"network": made["network"], "hostname": name, keys[0]: "127.0.0.9/8", keys[1]: GATEWAY}
            ]
        configuration = {"id": name, "labels": made["labels"], "networks": [{"network": made["network"]}]}
        if self.new:
            status = {"state": made["status"], "networks": networks}
            return {"id": name, "configuration": configuration, "status": status}
        return {"status": made["status"], "configuration": configuration, "networks": networks}

    def inspect(self, words: list[str]) -> None:
        say(json.dumps([self._described(name) for name in words if self._file(name).exists()]))

    def list(self, words: list[str]) -> None:
        assert words == ["--all", "--format", "json"], words
        with self._alone():
            names = sorted(file.stem for file in (self.state / "containers").glob("*.json"))
            described = [self._described(name) for name in names]
        say(json.dumps(described))

    def _inside(self, name: str, user: str, workdir: str, words: list[str]) -> list[str]:
        root = self.state / "root"
        enter = [os.environ["BWRAP"], "--bind", str(root), "/", "--ro-bind", "/usr", "/usr"]
        enter += ["--proc", "/proc", "--dev", "/dev"]
        for source, target, read_only in self._read(name)["mounts"]:
            enter += ["--ro-bind" if read_only else "--bind", source, target]
        enter += ["--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--chdir", workdir]
        uid, _, gid = user.partition(":")
        drop = []
        if os.geteuid() == 0 and uid != "0":
            drop = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
        return [*enter, "--", *drop, *words]

    def start(self, words: list[str]) -> int:
        name, made = words[-1], self._read(words[-1])
        assert "--attach" in words
        assert ("--interactive" in words) == made["interactive"]
        uid, _, gid = str(made["user"]).partition(":")
        staged = next(source for source, target, _ in made["mounts"] if target == "/.moat")
        if os.geteuid() == 0:  # what a virtual machine shows as its user's own
            for file in (Path(staged), *Path(staged).iterdir()):
                os.chown(file, int(uid), int(gid))
        shutil.rmtree(self.state / "root" / "run" / "moat", ignore_errors=True)
        agent = subprocess.Popen(
            self._inside(name, str(made["user"]), str(made["workdir"]), made["words"]),
            env={"LD_LIBRARY_PATH": os.environ["LIBRARIES"]},
            stdin=None if made["interactive"] else subprocess.DEVNULL,
            start_new_session=not made["tty"],
        )
        self._write(name, status="running", pid=agent.pid)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        while (code := agent.poll()) is None:
            if not json.loads((self.state / "config.json").read_text())["running"]:
                raise Failed(XPC)
            time.sleep(0.02)
        while self.config["late_exec"] and not (self.state / "asked").exists():
            time.sleep(0.02)
        self._write(name, status="stopped", pid=0)
        return 128 - code if code < 0 else code

    def exec(self, words: list[str]) -> int:
        rest, options = list(words), {}
        while rest[0].startswith("--"):
            flag = rest.pop(0)
            options[flag] = True if flag in ("--tty", "--interactive") else rest.pop(0)
        name, *command = rest
        (self.state / "asked").touch()
        while self.config["late_exec"] and self._read(name)["status"] == "running":
            time.sleep(0.02)
        if not self._file(name).exists() or self._read(name)["status"] != "running":
            raise Failed(f'Error: invalidState: "container {name} is not running"')
        made = self._read(name)
        inside = self._inside(
            name,
            str(options.get("--user", made["user"])),
            str(options.get("--workdir", made["workdir"])),
            command,
        )
        signal.signal(signal.SIGWINCH, lambda *_: None)
        stdin = None if "--interactive" in options else subprocess.DEVNULL
        libraries = {"LD_LIBRARY_PATH": os.environ["LIBRARIES"]}
        code = subprocess.run(inside, stdin=stdin, env=libraries, check=False).returncode
        return 128 - code if code < 0 else code

    def _signal(self, name: str, number: int) -> None:
        if not self._file(name).exists():
            raise Failed(f"Error: No such container: {name}")
        pid = int(self._read(name)["pid"])
        try:
            if not pid:
                raise ProcessLookupError
            # bubblewrap's own process only waits for the agent
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(children[0]) if children else pid, number)
        except (FileNotFoundError, ProcessLookupError):
            message = f'Error from APIServer: invalidState: "container {name} is not running"'
            raise Failed(message) from None

    def kill(self, words: list[str]) -> None:
        number = signal.Signals[words[1]] if words[0] == "--signal" else signal.SIGKILL
        self._signal(words[-1], number)

    def stop(self, words: list[str]) -> None:
        options, name = dict(zip(words[:-1:2], words[1::2], strict=False)), words[-1]
        self._signal(name, signal.Signals[options["--signal"]])
        deadline = time.monotonic() + int(options["--time"])
        while self._read(name)["status"] == "running":
            if time.monotonic() > deadline:
                self._signal(name, signal.SIGKILL)
                deadline += 60
            time.sleep(0.02)

    def delete(self, words: list[str]) -> None:
        assert words[0] == "--force"
        name = words[1]
        if not self._file(name).exists():
            missing = f'notFound: "container with ID {name} not found"'
            raise Failed(f'Error: internalError: "failed to delete container" (cause: "{missing}")')
        with suppress(Failed):  # it has ended
            self._signal(name, signal.SIGKILL)
        with self._alone():
            self._file(name).unlink()
        say(name)


if __name__ == "__main__":
    try:
        raise SystemExit(Program(Path(os.environ["FAKE_CONTAINER"])).main(sys.argv[1:]))
    except Failed as failed:
        sys.stderr.write(f"{failed}\n")
        raise SystemExit(failed.code) from None
