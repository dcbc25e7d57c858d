"""Runs inside a service, whose superuser the agent is: what it may do there, and what it can reach.

Arguments: the proxy's address, its port, the user:token of the run, and a host:port beyond the network.
Prints one JSON object on one line.
"""

import base64
import contextlib
import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

address, port, token, outside = sys.argv[1:]


def reached(host, number, data=b"", patience=1.5):
    """What came back from there; "" when the connection was cut, "refused: …" when there is no way."""
    try:
        with socket.create_connection((host, int(number)), patience) as sock:
            sock.settimeout(patience)
            sock.sendall(data)
            try:
                return sock.recv(200).decode("latin-1")
            except ConnectionError:
                return ""
            except TimeoutError:
                return "open"
    except OSError as error:
        return f"refused: {error}"


def asked(host):
    """Whether the run's own resolver answers."""
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01"
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(1)
        try:
            sock.sendto(query, (host, 53))
            return sock.recv(512).hex()
        except OSError as error:
            return f"refused: {error}"


def resolved(name):
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        return f"refused: {error}"


status = dict(
    line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
)
signed = base64.b64encode(token.encode()).decode()
connect = f"CONNECT api.github.com:443 HTTP/1.1\r\nProxy-Authorization: Basic {signed}\r\n\r\n"
with ThreadPoolExecutor() as pool:
    tries = {
        "proxy with the token": pool.submit(reached, address, port, connect.encode(), 20),
        "port 80": pool.submit(reached, address, 80, b"GET / HTTP/1.1\r\nHost: api.github.com\r\n\r\n", 20),
        "port 443": pool.submit(reached, address, 443, b"\x16\x03\x01\x00\x05hello", 20),
        "resolver": pool.submit(asked, address),
        "name": pool.submit(resolved, "example.com"),
        "outside": pool.submit(reached, *outside.split(":")),
        "public address": pool.submit(reached, "1.1.1.1", 443),
        "metadata": pool.submit(reached, "169.254.169.254", 80),
    }
out = {
    "root": os.getuid() == 0,
    "capabilities": [int(status.get(name, "0"), 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "told": sorted(name for name in os.environ if "PROXY" in name.upper() or "MOAT" in name),
    **{what: tried.result() for what, tried in tries.items()},
}
sys.stdout.write(json.dumps(out) + "\n")
