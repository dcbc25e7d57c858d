"""The process that stands between the supervisor and one run's sandbox. Standard library only.

Started alone, by `python -I -S`: it must be small, quick to start and of one thread, because the kernel lets
no other process enter a user namespace. It lives as long as the supervisor's end of its socket; whatever it
started dies with it.

    supervisor ──{id, op, …} in a memfd, and descriptors──▶ keeper      one packet each
    supervisor ◀──{id, …} or {id, error} or {id, exited}── keeper      and descriptors

network   make the run's user and network namespace, with nothing in it but loopback
bind      make sockets in it; they work in any process, and belong to that namespace for ever
start     bubblewrap, in it; answers with the sandbox's first process
exec      a command beside the agent, in all of the sandbox's namespaces, under its filters and limits
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import stat
import struct
import termios
import time
import warnings  # noqa: F401 - os.execvpe imports it, and in the sandbox there is nothing to import it from
from typing import Any, NamedTuple, NoReturn

_CREATE_LIMIT = 20.0  # seconds
_PAUSE = 0.001  # seconds between two looks at another process's doing, of which the kernel sends no word
_MOST_FDS = 250  # SCM_MAX_FD is 253
_NS_GET_USERNS = 0xB701  # ioctl_ns(2)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h
_MS_NOSUID, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 8, 0x1000, 0x4000, 0x40000  # linux/mount.h
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430  # asm-generic/ioctls.h
_NOT_FOUND, _NOT_RUN = 127, 126  # a shell's exit codes

_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A process of ours. `said` is bubblewrap's status so far: a line of JSON each."""

    def __init__(self, number: int, pid: int, status: int | None, release: int | None = None) -> None:
        self.number = number
        self.pid = pid
        self.ended = os.pidfd_open(pid)
        self.status = status
        self.said = b""
        self.release = release


class Keeper:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.program = Program(-1, "")
        self.namespaces: tuple[int, ...] = ()  # the run's user namespace, then its network's
        self.children: dict[int, Child] = {}  # by the descriptor that tells of something
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def serve(self) -> None:
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == self.control.fileno():
                    if not self.obey():
                        self.end()
                        return
                elif descriptor in self.children:
                    self.hear(self.children[descriptor], descriptor)

    def obey(self) -> bool:
        """One request. False at the supervisor's end."""
        fds = array.array("i")
        data, ancillary, _, _ = self.control.recvmsg(
            1, socket.CMSG_SPACE(_MOST_FDS * fds.itemsize), socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            return False
        for _, _, piece in ancillary:
            fds.frombytes(piece)
        body, *files = fds
        with os.fdopen(body, "rb") as file:
            asked = json.load(file)
        number = asked["id"]
        try:
            getattr(self, "do_" + asked["op"])(number, asked, files)
        except OSError as error:
            self.tell({"id": number, "error": str(error), "errno": error.errno})
        except Trouble as error:
            self.tell({"id": number, "error": str(error)})
        finally:
            for descriptor in files:
                os.close(descriptor)
        return True

    def end(self) -> None:
        """The supervisor has gone, perhaps in the middle of a start: bubblewrap's own --die-with-parent holds
        only once its first process is set up, and that is not even known before it is told.
        """
        for child in {id(each): each for each in self.children.values()}.values():
            if child.status is not None and first_process(child.said) is None:
                os.set_blocking(child.status, True)
                child.said += read_line(child.status)
            first = first_process(child.said)
            for each in (first, child.pid):
                if each is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)

    def tell(self, news: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([json.dumps(news).encode()], rights)

    def do_network(self, number: int, asked: dict[str, Any], files: list[int]) -> None:
        """bubblewrap makes it, because some systems let no other program make a user namespace."""
        status, said = os.pipe()
        errors, complaints = os.pipe()
        held, release = os.pipe()
        words = ["--unshare-user", "--unshare-net", "--json-status-fd", str(said), "--block-fd", str(held)]
        self.program = Program(opened_program(asked["program"]), asked["libraries"])
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            with Dying():
                die_with(keeper)
                os.dup2(complaints, 2)
                run_bubblewrap(self.program, words, ["none"], [said, held], {})
        for descriptor in (said, complaints, held):
            os.close(descriptor)
        first = None
        try:
            first = first_process(read_line(status))
            if first is None:
                raise Trouble(os.read(errors, 4096).decode(errors="replace").strip())
            place = f"/proc/{first}"
            self.namespaces = tuple(os.open(f"{place}/ns/{kind}", os.O_RDONLY) for kind in ("user", "net"))
            wait_for(lambda: bool(read(f"{place}/uid_map")))
        finally:
            for descriptor in (status, errors):
                os.close(descriptor)
            for each in (first, pid):
                if each is not None:
                    os.kill(each, signal.SIGKILL)
            os.close(release)
            os.waitpid(pid, 0)
        self.tell({"id": number})

    def do_bind(self, number: int, asked: dict[str, Any], files: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            made: list[socket.socket] = []
            try:
                self.enter()
                made = [bound(kind, asked["address"], port) for kind, port in asked["sockets"]]
                self.tell({"id": number}, tuple(each.fileno() for each in made))
            except OSError as error:
                self.tell({"id": number, "error": str(error), "errno": error.errno})
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    def do_start(self, number: int, asked: dict[str, Any], files: list[int]) -> None:
        """files: stdin, stdout, stderr, the end of a pipe whose other one holds the agent up, then what the
        words say ({"fd": n}). That end stays open here: else it would go on when the supervisor dies.
        """
        status, said = os.pipe()
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            with Dying():
                for target, source in enumerate(files[:3]):
                    os.dup2(source, target)
                session(0 if asked["tty"] else None)
                if os.geteuid() == 0:
                    own_devices()
                self.enter()
                die_with(keeper)
                limit(asked)
                words = ["--json-status-fd", str(said)]
                words += [
                    str(files[word["fd"]]) if isinstance(word, dict) else word for word in asked["words"]
                ]
                filter_calls(bytes.fromhex(asked["kernel_filter"]))
                kept = [said, *files[4:]]
                run_bubblewrap(self.program, words, asked["command"], kept, asked["env"])
        os.close(said)
        os.set_blocking(status, False)
        self.watch(Child(number, pid, status, os.dup(files[3])))

    def do_exec(self, number: int, asked: dict[str, Any], files: list[int]) -> None:
        """files: stdin, stdout, stderr; none for a terminal, whose other end is sent back."""
        ours, theirs = socket.socketpair()
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            with Dying():
                ours.close()
                enter_sandbox(asked["first"])
                die_with(keeper)
                master = terminal = None
                if asked["tty"]:
                    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
                    terminal = open_terminal(master)
                    files = [terminal] * 3
                socket.send_fds(theirs, [b"."], [master] if master is not None else [])
                if master is not None:
                    os.close(master)
                run_inside(asked, files, terminal)
        theirs.close()
        with ours:
            answer, fds, _, _ = socket.recv_fds(ours, 4096, 1)
        if answer != b".":
            os.waitpid(pid, 0)
            raise Trouble("the sandbox could not be entered; it may just have ended")
        self.watch(Child(number, pid, None))
        self.tell({"id": number}, tuple(fds))
        for descriptor in fds:
            os.close(descriptor)

    def enter(self) -> None:
        for descriptor in self.namespaces:
            os.setns(descriptor)

    def watch(self, child: Child) -> None:
        for descriptor in (child.ended, child.status):
            if descriptor is not None:
                self.children[descriptor] = child
                self.poll.register(descriptor, select.POLLIN)

    def hear(self, child: Child, descriptor: int) -> None:
        if descriptor == child.status:
            told_before = b"\n" in child.said
            self.read_status(child)
            if not told_before and (first := first_process(child.said)) is not None:
                self.tell({"id": child.number, "first": first})
            return
        _, status = os.waitpid(child.pid, 0)
        code: int | None = os.waitstatus_to_exitcode(status)
        if child.status is not None:
            self.read_status(child)
            code = exit_code(child.said)
        elif code is not None and code < 0:
            code = 128 - code
        self.forget(child.ended)
        if child.status is not None:
            self.forget(child.status)
        if child.release is not None:
            os.close(child.release)
        self.tell({"id": child.number, "exited": True, "code": code})

    def read_status(self, child: Child) -> None:
        assert child.status is not None
        try:
            while piece := os.read(child.status, 4096):
                child.said += piece
            self.poll.unregister(child.status)
        except (BlockingIOError, KeyError):
            pass

    def forget(self, descriptor: int) -> None:
        del self.children[descriptor]
        with contextlib.suppress(KeyError):
            self.poll.unregister(descriptor)
        os.close(descriptor)


class Program(NamedTuple):
    """bubblewrap. file: a descriptor of it; libraries: where it has libraries of its own, "" for nowhere."""

    file: int
    libraries: str


class Trouble(Exception):
    """With words for a person."""


class Dying:
    """What must never return to the keeper's own loop: the body ends by another program, or here."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> NoReturn:
        if error is not None:
            complain(str(error))
        os._exit(_NOT_RUN)


def complain(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"moat: {text}\n".encode())


def run_bubblewrap(
    program: Program, words: list[str], command: list[str], kept: list[int], env: dict[str, str]
) -> NoReturn:
    """kept: the descriptors that `words` name; bubblewrap closes each after use."""
    if program.libraries:
        theirs = env.get("LD_LIBRARY_PATH")
        words = [
            *words,
            *(
                ["--unsetenv", "LD_LIBRARY_PATH"]
                if theirs is None
                else ["--setenv", "LD_LIBRARY_PATH", theirs]
            ),
        ]
        env = {**env, "LD_LIBRARY_PATH": program.libraries}
    options = os.memfd_create("options", 0)  # not among the arguments, which everybody's `ps` shows
    os.write(options, b"".join(os.fsencode(word) + b"\0" for word in words))
    os.lseek(options, 0, os.SEEK_SET)
    for descriptor in (options, *kept):
        os.set_inheritable(descriptor, True)
    os.execve(program.file, ["bwrap", "--args", str(options), "--", *command], env)


def opened_program(path: str) -> int:
    """bubblewrap, to be run from here. Its file is /proc/1/exe in the sandbox, where root, or whoever owns
    the file, could open it for writing: where that is us, what runs is a sealed copy.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if not os.access(path, os.W_OK):
        return descriptor
    copy = os.memfd_create("bwrap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    while os.sendfile(copy, descriptor, None, 1 << 20):
        pass
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    os.close(descriptor)
    # Opened again for reading: a file that is open for writing cannot be run.
    descriptor = os.open(f"/proc/self/fd/{copy}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(copy)
    return descriptor


def own_devices() -> None:
    """bubblewrap shows the system's device nodes, and root in the sandbox, who owns them, could change their
    modes for everybody. So it is given nodes that nobody else has.
    """
    os.unshare(os.CLONE_NEWNS)
    mount("", "/", "", _MS_REC | _MS_PRIVATE)
    mount("tmpfs", "/sys", "tmpfs", _MS_NOSUID | _MS_NOEXEC)  # a place that the sandbox does not see
    for name in _DEVICES:
        system, own = f"/dev/{name}", f"/sys/{name}"
        os.mknod(own, 0o666 | stat.S_IFCHR, os.stat(system).st_rdev)
        os.chmod(own, 0o666)
        mount(own, system, "", _MS_BIND)


def mount(source: str, target: str, kind: str, flags: int) -> None:
    checked(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, None))


def enter_sandbox(first: int) -> None:
    """Into every namespace of the sandbox whose first process that is; only the next fork is in all of them.

    Each belongs to one of up to three user namespaces in one another, and only from there it can be entered.
    """
    place = f"/proc/{first}/ns"
    kinds = ("net", "mnt", "ipc", "uts", "cgroup", "pid")
    last = os.open(f"{place}/user", os.O_RDONLY | os.O_CLOEXEC)
    namespaces = [os.open(f"{place}/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    inside = os.stat("/proc/self/ns/user").st_ino
    for descriptor in namespaces:
        owner = fcntl.ioctl(descriptor, _NS_GET_USERNS)
        if (found := os.fstat(owner).st_ino) != inside:
            os.setns(owner, os.CLONE_NEWUSER)
            inside = found
        os.setns(descriptor)
        os.close(owner)
    os.setns(last, os.CLONE_NEWUSER)


def run_inside(asked: dict[str, Any], files: list[int], terminal: int | None) -> NoReturn:
    """The command, as a process of the sandbox; this one stays outside and tells how it ends."""
    pid = os.fork()
    if pid:
        for descriptor in {*files, 0, 1, 2}:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    session(terminal)
    for target, source in enumerate(files):
        os.dup2(source, target)
    limit(asked)
    drop_capabilities()
    checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    filter_calls(bytes.fromhex(asked["kernel_filter"]))
    filter_calls(bytes.fromhex(asked["agent_filter"]))
    try:
        os.chdir(asked["directory"])
        os.closerange(3, 1 << 16)
        os.execvpe(asked["command"][0], asked["command"], asked["env"])
    except OSError as error:
        complain(f"{asked['command'][0]}: {error.strerror}")
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN)


def session(terminal: int | None) -> None:
    """Of its own, so that no key typed at Moat's terminal is a signal here; with `terminal`, in its hands."""
    os.setsid()
    if terminal is not None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def open_terminal(master: int) -> int:
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0\0\0\0"))[0]
    return os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def limit(asked: dict[str, Any]) -> None:
    for name, value in asked["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if asked["cpus"]:
        os.sched_setaffinity(0, asked["cpus"])


def drop_capabilities() -> None:
    number = 0
    while _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("II", _CAPABILITY_VERSION, 0)
    checked(_libc.capset(header, bytes(24)))


def filter_calls(program: bytes) -> None:
    """As `struct sock_filter`s; for this process and all that come of it, for ever."""
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0))


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with(parent: int) -> None:
    """Of this process, and set anew in every one that changes its rights: the kernel then forgets it."""
    checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def bound(kind: str, address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if kind == "tcp":
        made.listen(512)
    return made


def read_line(descriptor: int) -> bytes:
    """Up to and with a line's end; less when there is no more."""
    said = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while not said.endswith(b"\n") and poll.poll(_CREATE_LIMIT * 1000):
        piece = os.read(descriptor, 4096)
        if not piece:
            break
        said += piece
    return said


def first_process(said: bytes) -> int | None:
    """From the first line of bubblewrap's status."""
    line, end, _ = said.partition(b"\n")
    return int(json.loads(line)["child-pid"]) if end else None


def exit_code(said: bytes) -> int | None:
    """The agent's. None: it was never started."""
    for line in said.splitlines():
        if "exit-code" in (told := json.loads(line)):
            return int(told["exit-code"])
    return None


def wait_for(there: Any) -> None:  # noqa: ANN401
    end = time.monotonic() + _CREATE_LIMIT
    while not there():
        if time.monotonic() > end:
            raise Trouble("bubblewrap did not finish the run's network in time")
        time.sleep(_PAUSE)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def main(descriptor: int) -> None:
    # Whoever is in the sandbox must not look into the processes that come to it from here.
    checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if os.geteuid() == 0:
        os.setgroups([])  # anybody else cannot, and takes the groups of their own along
    os.set_inheritable(descriptor, False)
    os.umask(0o022)
    Keeper(socket.socket(fileno=descriptor)).serve()
