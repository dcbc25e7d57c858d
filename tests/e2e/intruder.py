"""What an agent tries that was told to get out or to get the token. Runs in the container, prints JSON."""

import base64
import importlib
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

OUT = {group: {} for group in ("proxy", "others", "kernel", "network", "outwards")}
POOL = ThreadPoolExecutor(64)  # for what is waited for in vain


def attempt(name, work, group="others"):
    try:
        OUT[group][name] = str(work() or "done")
    except Exception as error:
        OUT[group][name] = f"refused: {error}"


def sh(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
    return "done" if done.returncode == 0 else f"refused: {done.stderr.strip()}"


def reached(address):
    with socket.create_connection(address, 2):
        return "done"


user, _, proxy = os.environ["HTTP_PROXY"].removeprefix("http://").rpartition("@")
HOST, PORT = proxy.split(":")
AUTH = base64.b64encode(user.encode()).decode()


def asked(target):
    """The proxy's rule for a plain request to that place; "" when it went through."""
    head = f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {AUTH}\r\n"
    with socket.create_connection((HOST, int(PORT)), 10) as sock:
        sock.sendall(f"{head}Connection: close\r\n\r\n".encode())
        answer = sock.makefile("rb").read().decode()
    return "".join(re.findall(r"(?m)^x-moat-rule: (\S+)", answer)[:1])


gateway = socket.gethostbyname(HOST)

# Out of the container
attempt("mount", lambda: sh("mount -t tmpfs none /mnt"))
attempt("host device", lambda: sh("mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk"))
attempt("host device in the workspace", lambda: sh("mknod /workspace/disk b 8 0"))
attempt("cgroup", lambda: sh("echo 1 > $(find /sys/fs/cgroup -name release_agent | head -1)"))
attempt("forged packets in a user namespace", lambda: sh(
    "unshare -rn python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)'"
))  # fmt: skip
attempt("sockets of the host's", lambda: sh("find / -xdev -type s 2>/dev/null | grep ."))

# To what the proxy's machine can reach
for target in (
    gateway, f"{gateway}:{PORT}", "172.17.0.1", "localhost", "127.1", "0.0.0.0", "2130706433", "0x7f000001",
    "0177.0.0.1", "[::]", "[::1]", "[64:ff9b::7f00:1]", "169.254.169.254", "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]", os.environ["HOST_ADDRESS"], f"{os.environ['HOST_ADDRESS']}:{PORT}",
):  # fmt: skip
    attempt(target, lambda target=target: asked(target), "proxy")
if os.environ["POLICY"] == "strict":
    places = [
        (str(address), port)
        for address in ipaddress.ip_network(f"{gateway}/28", strict=False).hosts()
        for port in (22, int(os.environ["HOST_SERVICE"]))
    ]
    for place in ((os.environ["HOST_ADDRESS"], 22), ("172.17.0.1", 2375), *places):
        POOL.submit(attempt, f"a service of the host's at {place}", lambda place=place: reached(place))

# At the kernel, and around the network
os.environ["GATEWAY"] = gateway
escapes = importlib.import_module("escapes")
for group, attempts in (("kernel", escapes.KERNEL), ("network", escapes.NETWORK)):
    for name, work in attempts.items():
        attempt(name, work, group)
for name, work in escapes.OUTWARDS.items():
    POOL.submit(attempt, name, work, "outwards")
POOL.shutdown()

sys.stdout.write(json.dumps(OUT))
