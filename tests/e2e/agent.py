"""What the end-to-end tests let an agent do inside a container: use the API, then look for the token.

Copied into the workspace and run there by the image's own Python; it writes `out.json`, prints a mark,
and waits for the file `go`, so that a test can look at the living container from outside.
"""

import base64
import glob
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

OUT = {}


def note(name, work):
    try:
        OUT[name] = work()
    except Exception as error:
        OUT[name] = f"{type(error).__name__}: {error}"


def sh(command, timeout=30, **env):
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=timeout, env={**os.environ, **env}
    )
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except OSError:
        return ""


def with_requests():
    sys.path.insert(0, "/workspace/packages")
    import requests

    return requests.get("https://api.github.com/user", timeout=20).json()


def connect(family, kind, address):
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)
        if kind == socket.SOCK_DGRAM:
            sock.send(b"x")
            sock.recv(1)
        return "reached"


def through_proxy(host):
    """The proxy's first line for that spelling of a host; curl would respell it and skip the proxy."""
    user, _, proxy = os.environ["HTTP_PROXY"].removeprefix("http://").rpartition("@")
    address, port = proxy.split(":")
    auth = base64.b64encode(user.encode()).decode()
    with socket.create_connection((address, int(port)), 10) as sock:
        head = (f"GET http://{host}/ HTTP/1.1", f"Host: {host}", f"Proxy-Authorization: Basic {auth}", "", "")
        sock.sendall("\r\n".join(head).encode())
        return sock.makefile("rb").readline().decode()


def files_with(needle):
    """Everything the agent can read, except kernel views of memory and devices."""
    found = []
    for top in ("/etc", "/root", "/home", "/tmp", "/var", "/run", "/moat", "/workspace", "/opt", "/srv"):
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path) and needle in read(path):
                    found.append(path)
    return found


# The API, by every client the image has

note("curl", lambda: sh("curl -sS https://api.github.com/user"))
note("curl_own_token", lambda: sh("curl -sS -H 'Authorization: Bearer mine' https://api.github.com/user"))
note("curl_echo", lambda: sh("curl -sS -H 'Connection: Authorization' https://api.github.com/echo"))
note("urllib", lambda: urllib.request.urlopen("https://api.github.com/user", timeout=20).read().decode())
note("requests", with_requests)
note("clone", lambda: sh("git clone -q https://github.com/octo/repo.git /workspace/clone"))
note("cloned", lambda: read("/workspace/clone/hello.txt"))

# Where it must not get

note("denied", lambda: sh("curl -sS -i https://evil.test/"))
note("plain_http", lambda: sh("curl -sS -i http://api.github.com/user"))
note("other_port", lambda: sh("curl -sS -i https://api.github.com:8443/user"))
note("inner_host", lambda: sh("curl -sS -i --http1.1 -H 'Host: evil.test' https://api.github.com/user"))
for name in ("169.254.169.254", "127.0.0.1", "10.0.0.1", "2130706433", "0x7f.1", "[::1]", "[fd00:ec2::254]"):
    note(f"private {name}", lambda name=name: through_proxy(name))
note("no_proxy", lambda: sh("curl -sS -m 3 https://1.1.1.1/", NO_PROXY="*", no_proxy="*"))
note(
    "unset_proxy",
    lambda: sh("unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy; curl -sS -m 3 http://1.1.1.1/"),
)
note("raw_tcp", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 443)))
note("raw_udp", lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("1.1.1.1", 53)))
note("raw_tcp6", lambda: connect(socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443)))
note(
    "no_token",
    lambda: sh("curl -sS -i -x http://host.docker.internal:${HTTP_PROXY##*:} http://example.test/"),
)

# What there is to gain inside

note("environ", lambda: dict(os.environ))
note("proc_environ", lambda: "".join(read(path) for path in glob.glob("/proc/[0-9]*/environ")))
note("proc_cmdline", lambda: "".join(read(path) for path in glob.glob("/proc/[0-9]*/cmdline")))
note("status", lambda: read("/proc/self/status"))
note("docker_socket", lambda: [p for p in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(p)])
note("iptables", lambda: sh("iptables -F || nft flush ruleset"))
note("files", lambda: files_with(os.environ["CANARY_A"] + os.environ["CANARY_B"]))
note("kernel", lambda: sh("dmesg | head -3")["out"])

with open("/workspace/written-by-agent", "w") as file:
    file.write("x")
with open("/workspace/out.json", "w") as file:
    json.dump(OUT, file)
os.rename("/workspace/out.json", "/workspace/done.json")

while not os.path.exists("/workspace/go"):
    time.sleep(0.05)
sys.exit(7)
