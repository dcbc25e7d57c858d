"""The keeper's own loop: one request after the other, and word of those that have ended."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from .inside import Dying, enter_sandbox, open_terminal, run_inside
from .kernel import die_with, filter_calls, keep_secret, limit, own_devices, session
from .program import Program, opened_program, run_bubblewrap

_CREATE_LIMIT = 20.0  # seconds
_PAUSE = 0.001  # seconds between two looks at another process's doing, of which the kernel sends no word
_MOST_FDS = 250  # SCM_MAX_FD is 253


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
            wait_for(lambda: is_mapped(place))
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
        sockets, address = asked["sockets"], asked["address"]
        self.make(number, lambda: [bound(kind, address, port) for kind, port in sockets])

    def do_socket(self, number: int, asked: dict[str, Any], files: list[int]) -> None:
        self.make(number, lambda: [socket.socket(asked["family"], socket.SOCK_STREAM)])

    def make(self, number: int, sockets: Callable[[], list[socket.socket]]) -> None:
        """What `sockets` makes in the run's network."""
        pid = os.fork()
        if pid == 0:
            made: list[socket.socket] = []
            try:
                self.enter()
                made = sockets()
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


class Trouble(Exception):
    """With words for a person."""


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


def is_mapped(place: str) -> bool:
    """Whether the ids of that process's user namespace are settled. bubblewrap writes the users' first, and
    in a namespace without the groups' the kernel makes no other one.
    """
    return all(read(f"{place}/{name}") for name in ("uid_map", "gid_map"))


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def main(descriptor: int) -> None:
    keep_secret()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if os.geteuid() == 0:
        os.setgroups([])  # anybody else cannot, and takes the groups of their own along
    os.set_inheritable(descriptor, False)
    os.umask(0o022)
    Keeper(socket.socket(fileno=descriptor)).serve()
