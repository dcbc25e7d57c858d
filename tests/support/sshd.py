"""A real OpenSSH server on this machine, with a git repository to clone, and a real agent with keys."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


class Sshd:
    """Listens on every address, so that a container reaches it at its gateway. Takes one key."""

    def __init__(self, directory: Path, authorized: Path) -> None:
        directory.mkdir()
        host_key = directory / "host_key"
        _quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key))
        self.public_key = host_key.with_suffix(".pub").read_text().split()[:2]
        self.user = getpass.getuser()
        self.port = _free_port()
        self.log = directory / "log"
        self.repository = directory / "project.git"
        _repository(self.repository)
        authorized_keys = directory / "authorized_keys"
        shutil.copy(authorized, authorized_keys)
        config = directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 0.0.0.0\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {authorized_keys}\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel VERBOSE\n"
            "Subsystem sftp internal-sftp\n"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")
        assert program
        self._process = subprocess.Popen([program, "-D", "-f", str(config), "-E", str(self.log)])
        _wait_for_port(self.port)

    def known_hosts_line(self, name: str, *, port: int = 0) -> str:
        """port: where a client believes it to be; 0 is its own."""
        place = name if port == 22 else f"[{name}]:{port or self.port}"
        return f"{place} {' '.join(self.public_key)}\n"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class Agent:
    """A real ssh-agent with one key. `env` is what its clients need."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.key = directory / "id"
        _quiet("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "me@test", "-f", str(self.key))
        socket_path = directory / "s"
        self.env = {"SSH_AUTH_SOCK": str(socket_path)}
        self._process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while not socket_path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", str(self.key)], env=os.environ | self.env, check=True, timeout=20)
        self.public = self.key.with_suffix(".pub")

    def fingerprint(self) -> str:
        done = subprocess.run(["ssh-keygen", "-lf", self.public], capture_output=True, text=True, check=True)
        return done.stdout.split()[1]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def _repository(path: Path) -> None:
    work = path.with_name("work")
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "init.defaultBranch=main")
    _quiet(*git, "init", "-q", str(work))
    (work / "README").write_text("cloned over ssh\n")
    _quiet(*git, "-C", str(work), "add", ".")
    _quiet(*git, "-C", str(work), "commit", "-q", "-m", "one")
    _quiet(*git, "clone", "-q", "--bare", str(work), str(path))


def _quiet(*command: str) -> None:
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
