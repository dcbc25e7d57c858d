"""A ContainerSpec as bubblewrap's options: every isolation setting, in one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from engine.errors import UsageError
from engine.runtimes.bubblewrap.system import System, hidden_places
from engine.runtimes.home_files import OwnFiles
from engine.runtimes.spec import Bind, ContainerSpec, PlacedFile
from engine.runtimes.user import GROUP, PASSWD, with_group, with_user
from engine.runtimes.user import HOME as USERS_HOME

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOTS_HOME = "/root"

_USERS = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
_GROUPS = b"root:x:0:\nnogroup:x:65534:\n"
_NAME_SERVICES = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
# What Docker hides too (moby, oci/defaults.go). All of /proc is read-only.
_MASKED = (
    "acpi", "asound", "bus", "driver", "fs", "irq", "kcore", "key-users", "keys", "latency_stats",
    "sched_debug", "scsi", "timer_list", "timer_stats",
)  # fmt: skip

_NAMESPACES = (
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
    "--disable-userns", "--die-with-parent", "--cap-drop", "ALL",
)  # fmt: skip

type Word = str | dict[str, int]


class Words:
    """The options, and the descriptors they name by {"fd": n}, which `close` closes."""

    def __init__(self, first: int) -> None:
        """first: the number of the first descriptor, where others go before."""
        self._first = first
        self._made = {"/"}
        self.words: list[Word] = []
        self.fds: list[int] = []

    def add(self, *words: str) -> None:
        self.words += words

    def add_parents(self, path: str) -> None:
        """Those that bubblewrap makes by itself are closed to all but their owner."""
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) not in self._made:
                self._made.add(str(parent))
                self.add("--dir", str(parent))

    def add_descriptor(self, option: str, descriptor: int, *more: str) -> None:
        """It belongs to the words from now on."""
        self.fds.append(descriptor)
        self.words += [option, {"fd": self._first + len(self.fds) - 1}, *more]

    def add_held(self, option: str, content: bytes, *more: str) -> None:
        """What the option takes from a descriptor."""
        held = os.memfd_create("held", os.MFD_CLOEXEC)
        self.add_descriptor(option, held, *more)
        with open(held, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(held, 0, os.SEEK_SET)

    def add_own(self, file: PlacedFile) -> None:
        """The agent's, to do with as it likes."""
        self.add("--perms", f"{file.mode:04o}")
        if file.directory:
            self.add("--dir", file.path)
        else:
            self.add_held("--file", file.content, file.path)

    def add_bind(self, bind: Bind) -> None:
        """By descriptor: what was judged is what is mounted. Raises UsageError when it is elsewhere now."""
        try:
            held = os.open(bind.source, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"the mount {bind.source} cannot be opened: {error.strerror}") from error
        self.add_descriptor("--ro-bind-fd" if bind.read_only else "--bind-fd", held, bind.target)
        if os.readlink(f"/proc/self/fd/{held}") != bind.source:
            raise UsageError(
                f"the mount {bind.source} was replaced by a symbolic link while the run was being prepared",
                remedy="See who changes that directory, a running agent perhaps, and start the run again.",
            )

    def close(self) -> None:
        for descriptor in self.fds:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.fds.clear()


def build_words(spec: ContainerSpec, own: OwnFiles, agent_filter: bytes, first: int) -> Words:
    """own: for the agent's home. Raises UsageError for a mount that has moved. The caller closes it."""
    system = System(spec.rootfs)
    files = {system.resolved(file.path): file for file in (*_own_files(spec, system), *spec.files)}
    binds = {system.resolved(bind.target): bind for bind in spec.binds}
    files = {path: file for path, file in files.items() if path not in binds}
    home = home_of(spec)
    words = Words(first)
    try:
        words.add(*_NAMESPACES, "--hostname", "moat", "--chdir", spec.workdir)
        for place in system.shown():
            words.add_parents(place)
        words.add(*system.words(_holes(system, files, binds)))
        words.add("--proc", "/proc", "--dev", "/dev", "--dir", "/run", "--dir", "/sys")
        size = [] if spec.memory_mb is None else ["--size", str(spec.memory_mb << 20)]
        for place, mode in (("/tmp", "1777"), ("/var/tmp", "1777"), ("/dev/shm", "1777"), (home, "0700")):
            words.add_parents(place)
            words.add("--perms", mode, *size, "--tmpfs", place)
        for place, is_directory in hidden_places(system, spec.hidden):
            words.add(*(("--tmpfs", place) if is_directory else ("--ro-bind", "/dev/null", place)))
        for path, file in files.items():
            words.add_parents(path)
            _place(words, path, file)
        for file in own.files:
            words.add_own(file)
        _refuse_nested(binds)
        for target in sorted(binds):
            words.add_parents(target)
            words.add_bind(Bind(binds[target].source, target, binds[target].read_only))
        _seal(words)
        words.add_held("--seccomp", agent_filter)
    except BaseException:
        words.close()
        raise
    return words


def home_of(spec: ContainerSpec) -> str:
    return ROOTS_HOME if spec.user.partition(":")[0] == "0" else USERS_HOME


def environment_of(spec: ContainerSpec) -> dict[str, str]:
    terminal = {"TERM": "xterm"} if spec.tty else {}
    return {"PATH": PATH, "HOSTNAME": "moat", "HOME": home_of(spec), **terminal, **spec.env}


def _own_files(spec: ContainerSpec, system: System) -> list[PlacedFile]:
    """Who the agent is, and where names lead that lead nowhere else."""
    uid, gid = (int(part) for part in spec.user.split(":"))
    users = _without(system.read(PASSWD) if system.root else _USERS, uid)
    groups = system.read(GROUP) if system.root else _GROUPS
    if uid == 0:
        users = b"root:x:0:0:root:/root:/bin/sh\n" + users
    names = "".join(f"{address} {name}\n" for name, address in spec.extra_hosts.items())
    hosts = f"127.0.0.1 localhost moat\n::1 localhost\n{names}"
    return [
        PlacedFile(PASSWD, with_user(users, uid, gid)),
        PlacedFile(GROUP, with_group(groups, gid)),
        PlacedFile("/etc/hosts", hosts.encode()),
        PlacedFile("/etc/hostname", b"moat\n"),
        PlacedFile("/etc/nsswitch.conf", _NAME_SERVICES),
        PlacedFile("/etc/resolv.conf", b"# Moat: no name is resolved here\n"),
    ]


def _without(passwd: bytes, uid: int) -> bytes:
    """The agent's own line is Moat's: another would name a home that is not there."""
    kept = [line for line in passwd.splitlines() if line.split(b":")[2:3] != [str(uid).encode()]]
    return b"".join(line + b"\n" for line in kept)


def _holes(system: System, files: Mapping[str, PlacedFile], binds: Mapping[str, Bind]) -> set[str]:
    kinds: dict[str, bool | None] = {"/var/tmp": True}
    kinds |= {path: None if file.link else file.directory for path, file in files.items()}
    kinds |= {path: os.path.isdir(bind.source) for path, bind in binds.items()}
    return {path for path, directory in kinds.items() if system.is_hole(path, directory=directory)}


def _refuse_nested(targets: Iterable[str]) -> None:
    """Raise UsageError for a mount in another: bwrap makes its place while it still sees this machine, and a
    link that an agent left in the outer one would lead it there.
    """
    for target in (every := set(targets)):
        outer = next((str(path) for path in PurePosixPath(target).parents if str(path) in every), "")
        if outer:
            raise UsageError(
                f"under bubblewrap no mount can be in another: {target} lies in the mount {outer}",
                remedy="Give it a place of its own, such as /data, or use the runtime 'docker'.",
            )


def _place(words: Words, path: str, file: PlacedFile) -> None:
    if file.link:
        words.add("--symlink", file.link, path)
    elif file.directory:
        words.add("--perms", f"{file.mode:04o}", "--tmpfs", path)
    else:
        words.add("--perms", f"{file.mode:04o}")
        words.add_held("--ro-bind-data", file.content, path)


def _seal(words: Words) -> None:
    for name in _MASKED:
        if os.path.isdir(f"/proc/{name}"):
            words.add("--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
        elif os.path.exists(f"/proc/{name}"):
            words.add("--ro-bind", "/dev/null", f"/proc/{name}")
    for place in ("/proc", "/dev", "/"):
        words.add("--remount-ro", place)
