"""What an agent tries at the kernel to get out of its container, or around its network. Runs inside.

Each is a function without arguments that raises when it is refused, and returns when something was gained.
Only the library of any Python 3.
"""

import contextlib
import ctypes
import errno
import ipaddress
import os
import platform
import socket
import stat
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
HERE = ("x86_64", "aarch64").index(platform.machine())
# Of documentation's own networks (RFC 5737, RFC 3849): nobody is there, but what is routed there leaves.
OUTSIDE, OUTSIDE6 = os.environ["OUTSIDE"], os.environ["OUTSIDE6"]
HOST, PORT = os.environ["HOST_ADDRESS"], int(os.environ["HOST_SERVICE"])


def call(numbers, *arguments):
    """A system call by its number on x86_64 and aarch64."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(numbers[HERE]), *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def written(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path, "rb") as file:
        return file.read(64)


def in_child(work):
    """`work` in a process of its own, because it may change what this one is in."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise OSError("not in a child either")


# Namespaces, mounts, other processes

NEW_USER, NEW_NET, NEW_NS, NEW_CGROUP = 0x10000000, 0x40000000, 0x00020000, 0x02000000
CLONE3, KEYCTL, ADD_KEY, MOUNT, SYSLOG = (435, 435), (250, 219), (248, 217), (165, 40), (103, 116)


def new_namespace(flags):
    if LIBC.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def new_namespace_by_clone3():
    def child():
        arguments = struct.pack("<11Q", NEW_USER | NEW_NET, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        if call(CLONE3, arguments, len(arguments)) == 0:
            os._exit(0)

    in_child(child)


def namespace_of_process_one():
    with open("/proc/1/ns/net") as theirs:
        ours = os.stat("/proc/self/ns/net")
        if os.fstat(theirs.fileno()).st_ino == ours.st_ino:
            raise OSError("it is the same")
        in_child(lambda: call((308, 268), theirs.fileno(), 0))


def mounted(kind, *flags):
    os.makedirs("/tmp/mounted", exist_ok=True)
    call(MOUNT, b"none", b"/tmp/mounted", kind, ctypes.c_ulong(sum(flags)), None)


def bound_process_one_root():
    """What process 1 sees, where that is more than this one does."""
    call(MOUNT, b"/proc/1/root", b"/mnt", b"", ctypes.c_ulong(0x1000), None)


def made_mounts_shared():
    call(MOUNT, b"none", b"/", None, ctypes.c_ulong(0x100000 | 0x4000), None)


def remounted_settings():
    call(MOUNT, b"none", b"/proc/sys", None, ctypes.c_ulong(0x20 | 0x1000), None)


def host_file():
    """By every name that it could have here."""
    path = os.environ["HOST_FILE"]
    for place in ("", "/proc/1/root", "/proc/1/cwd/../../../..", "/proc/self/root", "/workspace/../.."):
        with contextlib.suppress(OSError):
            return read(place + path)
    for number in os.listdir("/proc/1/fd"):
        with contextlib.suppress(OSError):
            return read(f"/proc/1/fd/{number}{path}")
    raise OSError("it is not there")


def file_by_its_handle():
    """The way out of the first containers (CVE-2014-6407's kin): any file of a disk, by its number."""
    size, kind = 128, 0
    handle = ctypes.create_string_buffer(struct.pack("<Ii", size, kind) + bytes(size))
    mount = ctypes.c_int()
    call((303, 264), -100, b"/etc/hosts", handle, ctypes.byref(mount), 0)
    disk = os.open("/etc/hosts", os.O_RDONLY)
    call((304, 265), disk, handle, os.O_RDONLY)


def foreign_processes():
    """Any whose program is Moat's own, or bubblewrap's keeper, by its arguments."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{number}/cmdline", "rb") as file:
                said = file.read()
            if b"moat_tui" in said or b"keeper" in said or b"dockerd" in said:
                return number
    raise OSError("none")


def memory_of_process_one():
    """To write into it: process 1 may be another's than the agent's, and more be open to it."""
    with open("/proc/1/mem", "r+b", buffering=0) as memory, open("/proc/1/maps") as maps:
        line = next(line for line in maps if " r-xp " in line)
        start = int(line.split("-")[0], 16)
        memory.seek(start)
        held = memory.read(8)
        memory.seek(start)
        memory.write(held)


def keyring():
    with contextlib.suppress(OSError):
        return call(KEYCTL, 0, ctypes.c_long(-4), 1)  # KEYCTL_GET_KEYRING_ID of the user's
    return call(ADD_KEY, b"user", b"moat-probe", b"x", 1, ctypes.c_long(-4))


def kernel_log():
    return call(SYSLOG, 3, ctypes.create_string_buffer(64), 64)


def perf():
    attributes = ctypes.create_string_buffer(struct.pack("<IIQ", 1, 112, 0) + bytes(96))
    return call((298, 241), attributes, 0, -1, -1, 0)


def module():
    """Where it may, the kernel complains of the descriptor; where it may not, it does not look at it."""
    try:
        call((313, 273), -1, b"", 0)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            raise


def devices():
    """Beside those that every container has."""
    usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "fuse", "tun"}
    kinds = (stat.S_ISBLK, stat.S_ISCHR)
    found = []
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if any(kind(mode) for kind in kinds) and name not in usual and not folder.endswith("/pts"):
                found.append(path)
    if not found:
        raise OSError("none")
    return found


def open_for_writing(*folders):
    """Any file below that opens for writing; nothing is written."""
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
                    return f"opened {file.name}"
    raise OSError("none of them")


def control_group():
    for place, _, names in os.walk("/sys/fs/cgroup"):
        if "cgroup.procs" in names:
            with contextlib.suppress(OSError):
                os.mkdir(os.path.join(place, "moatprobe"))
                return place
    raise OSError("none")


# Networks

UDPLITE, SCTP, DCCP = 136, 132, 33


def opened(family, kind, protocol=0):
    with socket.socket(family, kind, protocol):
        return "done"


def sent(place, kind=socket.SOCK_DGRAM, protocol=0, payload=b"out"):
    """Off it goes: whether it arrives only those outside can say."""
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    with socket.socket(family, kind, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.settimeout(2)
        if kind == socket.SOCK_DGRAM:
            sock.sendto(payload, place)
        else:
            sock.connect(place)
        return "sent"


def ping():
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"out"
    return sent((OUTSIDE, 0), protocol=socket.IPPROTO_ICMP, payload=echo)


def link_local():
    """Every bridge has such an address, whether anybody gave it one or not, and so may this end."""
    others = [number for number, name in socket.if_nameindex() if name != "lo"]
    if not others:
        raise OSError("no interface")
    for number in others:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"link-local", ("ff02::1", PORT, 0, number))
    return "sent"


def broadcast():
    """To all that are on the link, by every address that means them."""
    gateway = ipaddress.ip_address(os.environ["GATEWAY"])
    wholes = [str(ipaddress.ip_network(f"{gateway}/{bits}", strict=False)[-1]) for bits in (16, 20, 24, 28)]
    for address in ("255.255.255.255", "224.0.0.1", "224.0.0.251", *wholes):
        with contextlib.suppress(OSError):
            sent((address, PORT), payload=f"broadcast to {address}".encode())


def abstract_socket():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("\0" + os.environ["HOST_ABSTRACT"])


def listening_socket():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.environ["HOST_SOCKET"])


def vsock():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect((2, 22))


def asked(protocol, kind, body, flags=0x5):
    """What the kernel answers to a netlink request with NLM_F_REQUEST and NLM_F_ACK."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(2)
        message = struct.pack("<IHHII", 16 + len(body), kind, flags, 1, 0) + body
        sock.send(message)
        answer = sock.recv(65536)
    number = -struct.unpack_from("<i", answer, 16)[0]
    if number:
        raise OSError(number, os.strerror(number))


def attribute(kind, data):
    return struct.pack("<HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def added_route():
    gateway = socket.inet_aton(os.environ["GATEWAY"])
    body = struct.pack("<BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + attribute(5, gateway)
    asked(0, 24, body, 0x605)  # RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL: a default by that gateway


def added_address():
    own = socket.inet_aton("10.255.255.1")
    body = struct.pack("<BBBBI", 2, 24, 0, 0, 1) + attribute(2, own) + attribute(1, own)
    asked(0, 20, body, 0x605)


def added_interface():
    kind = attribute(18, attribute(1, b"dummy\0"))
    asked(0, 16, struct.pack("<BBHiII", 0, 0, 0, 0, 0, 0) + attribute(3, b"moatprobe\0") + kind, 0x605)


def changed_firewall():
    """A table of nf_tables' own, in a batch as it wants them."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
        sock.settimeout(2)
        head = struct.pack(">BBH", 0, 0, 10)
        table = struct.pack(">BBH", 2, 0, 0) + attribute(1, b"moatprobe\0")
        batch = b""
        for number, (kind, body, flags) in enumerate(
            ((0x10, head, 0x1), (0xA00, table, 0x405), (0x11, head, 0x1))
        ):
            batch += struct.pack("<IHHII", 16 + len(body), kind, flags, number, 0) + body
        sock.send(batch)
        answer = sock.recv(65536)
    number = -struct.unpack_from("<i", answer, 16)[0]
    if number:
        raise OSError(number, os.strerror(number))


KERNEL = {
    "a user namespace": lambda: in_child(lambda: new_namespace(NEW_USER)),
    "a user and a network namespace": lambda: in_child(lambda: new_namespace(NEW_USER | NEW_NET)),
    "a mount namespace": lambda: in_child(lambda: new_namespace(NEW_NS)),
    "a cgroup namespace": lambda: in_child(lambda: new_namespace(NEW_CGROUP)),
    "clone3": new_namespace_by_clone3,
    "setns": namespace_of_process_one,
    "mount of proc": lambda: mounted(b"proc"),
    "mount of sysfs": lambda: mounted(b"sysfs"),
    "mount of cgroup": lambda: mounted(b"cgroup"),
    "mount of cgroup2": lambda: mounted(b"cgroup2"),
    "mount of process one's root": bound_process_one_root,
    "shared mounts": made_mounts_shared,
    "writable settings": remounted_settings,
    "chroot": lambda: in_child(lambda: os.chroot("/proc/1/root")),
    "a file of the host's": host_file,
    "a file by its handle": file_by_its_handle,
    "processes of Moat's": foreign_processes,
    "the memory of process one": memory_of_process_one,
    "keys": keyring,
    "the kernel's log": kernel_log,
    "perf": perf,
    "bpf": lambda: call((321, 280), 0, 0, 0),
    "a module": module,
    "kexec": lambda: call((246, 104), 0, 0, None, 0),
    "userfaultfd": lambda: call((323, 282), 0),
    "io_uring": lambda: call((425, 425), 4, ctypes.create_string_buffer(120)),
    "the clock": lambda: call((227, 112), 0, struct.pack("<qq", 1, 0)),
    "the host's name": lambda: socket.sethostname("moat-probe"),
    "devices of the host's": devices,
    "core_pattern": lambda: written("/proc/sys/kernel/core_pattern", "|/workspace/x"),
    "modprobe": lambda: written("/proc/sys/kernel/modprobe", "/workspace/x"),
    "sysrq": lambda: written("/proc/sysrq-trigger", "h"),
    "uevent_helper": lambda: written("/sys/kernel/uevent_helper", "/workspace/x"),
    "the kernel's settings": lambda: open_for_writing("/proc/sys", "/sys"),
    "a control group of its own": control_group,
}

NETWORK = {
    "AF_PACKET": lambda: opened(socket.AF_PACKET, socket.SOCK_RAW, 3),
    "raw IPv4": lambda: opened(socket.AF_INET, socket.SOCK_RAW, 255),
    "raw IPv6": lambda: opened(socket.AF_INET6, socket.SOCK_RAW, 58),
    "XDP": lambda: opened(44, socket.SOCK_RAW),
    "AF_VSOCK": vsock,
    "a route": added_route,
    "an address": added_address,
    "an interface": added_interface,
    "the firewall": changed_firewall,
    "forwarding": lambda: written("/proc/sys/net/ipv4/ip_forward", "1"),
    "IPv6 switched on": lambda: written("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"),
    "an abstract socket of the host's": abstract_socket,
    "a socket of the host's": listening_socket,
}

# To an address outside, each protocol in its own way, and to whatever may be near.
OUTWARDS = {
    "TCP": lambda: sent((OUTSIDE, 443), socket.SOCK_STREAM),
    "UDP": lambda: sent((OUTSIDE, 443)),
    "UDP-Lite": lambda: sent((OUTSIDE, 443), protocol=UDPLITE),
    "SCTP": lambda: sent((OUTSIDE, 443), socket.SOCK_STREAM, SCTP),
    "DCCP": lambda: sent((OUTSIDE, 443), 6, DCCP),
    "ICMP": ping,
    "TCP over IPv6": lambda: sent((OUTSIDE6, 443), socket.SOCK_STREAM),
    "UDP over IPv6": lambda: sent((OUTSIDE6, 443)),
    "UDP to a mapped address": lambda: sent((f"::ffff:{OUTSIDE}", 443)),
    "this machine": lambda: sent((HOST, PORT), payload=b"direct"),
    "docker's bridge": lambda: sent(("172.17.0.1", PORT), payload=b"docker's bridge"),
    "the gateway": lambda: sent((os.environ["GATEWAY"], PORT), payload=b"gateway"),
    "everybody on the link": broadcast,
    "neighbours of IPv6": link_local,
}
