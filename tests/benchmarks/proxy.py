"""How fast the proxy is, everything on (policy, injection, request log, audit on disk), in pairs.

    python tests/benchmarks/proxy.py [--quick] [--rounds N] [--only NAME,…]

Each round measures every contender right after the other: the upstream directly; an asyncio + uvloop TLS
relay, which is Python's floor; squid with ssl-bump, where it is installed (apt-get install squid-openssl);
Moat. Client and upstream share one core, the proxy has another. Ratios are taken per round, and the medians
of the rounds are printed. Gates: the goals in the table; exits 1 when one is missed, unless --quick.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

CLIENT_CORE, PROXY_CORE = "0", "1"
MB = 1_000_000
TOKEN = "benchmark-token-0123456789abcdefghijklmn"
HOSTS = ("api.test", *(f"h{number}.test" for number in range(99)))
CONTENDERS = ("direct", "relay", "squid", "moat")


@dataclass
class Peers:
    """Ports and files of what runs."""

    upstream: int
    ca: Path
    proxies: dict[str, int] = field(default_factory=dict)
    trust: dict[str, Path] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)


def pinned(core: str, *command: str) -> list[str]:
    return ["taskset", "-c", core, *command] if shutil.which("taskset") else list(command)


@contextmanager
def running(core: str, *arguments: str) -> Iterator[tuple[list[int], subprocess.Popen[str]]]:
    """A peer of proxy_peers.py and the ports it printed."""
    command = pinned(core, sys.executable, str(HERE / "proxy_peers.py"), *arguments)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ports = line.split()
        if not ports or not all(map(str.isdigit, ports)):
            raise SystemExit(f"{arguments[0]} did not start")
        yield list(map(int, ports)), process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def certificates(directory: Path) -> tuple[Path, Path]:
    """An upstream's chain with its key, and the CA, which squid and the relay use too."""
    from support.upstream import Upstream

    made = Upstream(HOSTS, directory=directory)
    return directory / "upstream.pem", made.ca_file


@contextmanager
def squid(directory: Path, ca: Path) -> Iterator[tuple[int, Path]]:
    """squid with ssl-bump and an EC CA; it finds every host through a hosts file."""
    from cryptography.hazmat.primitives import serialization

    from engine.home import Home
    from engine.proxy import CertificateAuthority

    authority = CertificateAuthority.load_or_create(Home(directory / "home"))
    own = directory / "bump.pem"
    own.write_bytes(
        authority.certificate_pem
        + authority._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    port = free_port()
    helper = next(Path("/usr/lib/squid").glob("security_file_certgen"))
    database = directory / "certs"
    subprocess.run([str(helper), "-c", "-s", str(database), "-M", "4MB"], check=True, capture_output=True)
    (directory / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in HOSTS))
    configuration = directory / "squid.conf"
    configuration.write_text(f"""
http_port 127.0.0.1:{port} ssl-bump tls-cert={own} generate-host-certificates=on
sslcrtd_program {helper} -s {database} -M 4MB
sslcrtd_children 2
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
tls_outgoing_options cafile={ca}
http_access allow all
cache deny all
hosts_file {directory}/hosts
access_log stdio:{directory}/access.log
cache_log {directory}/cache.log
pid_filename {directory}/squid.pid
coredump_dir {directory}
via off
pinger_enable off
forwarded_for delete
shutdown_lifetime 0 seconds
""")
    for place, mode in ((directory.parent, 0o755), (directory, 0o777)):  # as root it becomes another user
        place.chmod(mode)
    subprocess.run(["chmod", "-R", "a+rwX", str(database)], check=True)
    process = subprocess.Popen(
        pinned(PROXY_CORE, "squid", "-N", "-n", f"moat{os.getpid()}", "-f", str(configuration)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        trust = directory / "bump-ca.pem"
        trust.write_bytes(authority.certificate_pem)
        wait_for(port, process)
        yield port, trust
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    import socket

    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("squid did not start; try: squid -N -d 1 -f FILE")


def load(peers: Peers, name: str, kind: str, **task: object) -> dict[str, float]:
    order = {
        "kind": kind,
        "port": peers.upstream,
        "proxy": peers.proxies.get(name, 0),
        "ca": str(peers.trust.get(name, peers.ca)),
        "token": TOKEN,
        "to": peers.upstream if name == "squid" else 443,  # it has no --connect-to
        **task,
    }
    command = pinned(CLIENT_CORE, sys.executable, str(HERE / "proxy_load.py"), json.dumps(order))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60 if task.get("size", 0) == 0 else 300
    )
    if done.returncode:
        raise SystemExit(f"{name} {kind}: {done.stderr[-800:]}")
    return dict(json.loads(done.stdout))


def rss(process: subprocess.Popen[str]) -> float:
    """MB in memory."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


class Results:
    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = {}

    def add(self, measure: str, name: str, value: float) -> None:
        self.values.setdefault((measure, name), []).append(value)

    def median(self, measure: str, name: str) -> float | None:
        found = self.values.get((measure, name))
        return statistics.median(found) if found else None

    def ratio(self, measure: str, name: str, other: str) -> float | None:
        """The median of the rounds' ratios."""
        ours, theirs = self.values.get((measure, name)), self.values.get((measure, other))
        if not ours or not theirs:
            return None
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))

    def difference(self, measure: str, name: str, other: str) -> float | None:
        ours, theirs = self.values.get((measure, name)), self.values.get((measure, other))
        if not ours or not theirs:
            return None
        return statistics.median(a - b for a, b in zip(ours, theirs, strict=False))


def round_of(peers: Peers, names: Sequence[str], results: Results, quick: bool) -> None:
    seconds = 1.0 if quick else 3.0
    count = 10 if quick else 30
    for name in names:
        one = load(peers, name, "rates", connections=1, seconds=seconds)
        results.add("keep-alive 1", name, one["rate"])
        results.add("p50", name, one["p50"])
        results.add(
            "keep-alive 16", name, load(peers, name, "rates", connections=16, seconds=seconds)["rate"]
        )
        results.add("new", name, load(peers, name, "fresh", connections=4, seconds=seconds)["rate"])
        if name == "squid":  # it stands in for requests a second; it passes no WebSocket
            continue
        results.add("down", name, load(peers, name, "down", size=64 * MB)["rate"])
        results.add("up", name, load(peers, name, "up", size=64 * MB)["rate"])
        results.add("event", name, load(peers, name, "event", count=count)["p50"])
        results.add("echo", name, load(peers, name, "echo", count=count * 50)["p50"])
        if name == "moat" and name in peers.processes:
            uncredited = load(peers, name, "rates", connections=1, seconds=seconds, hosts=["h1.test"])
            results.add("without credential 1", name, uncredited["rate"])


def memory(peers: Peers, results: Results, quick: bool) -> None:
    process = peers.processes["moat"]
    load(peers, "moat", "rates", connections=1, seconds=1.0)
    before = rss(process)
    load(peers, "moat", "hosts", hosts=HOSTS, count=1000 if quick else 10_000)
    results.add("memory hosts", "moat", rss(process) - before)
    before = rss(process)
    size = (100 if quick else 1000) * MB
    load(peers, "moat", "down", size=size)
    load(peers, "moat", "up", size=size)
    results.add("memory body", "moat", rss(process) - before)


def table(results: Results) -> list[str]:
    """Lines of the table; a row whose goal is missed ends in `missed`."""
    lines = [f"{'':24}{'direct':>9}{'relay':>9}{'squid':>9}{'moat':>9}   goal"]

    def row(title: str, measure: str, goal: str, met: bool | None, form: str = "{:.0f}") -> None:
        cells = "".join(
            f"{form.format(value) if (value := results.median(measure, name)) is not None else '-':>9}"
            for name in CONTENDERS
        )
        mark = "" if met is None else ("  met" if met else "  missed")
        lines.append(f"{title:24}{cells}   {goal}{mark}")

    for title, measure, factor in (
        ("requests/s, 1 kept", "keep-alive 1", 1.15),
        ("requests/s, 16 kept", "keep-alive 16", 0.70),
        ("requests/s, 4 new", "new", 0.37),
    ):
        ratio = results.ratio(measure, "moat", "squid")
        said = f"{factor:.2f} x squid" + (f", is {ratio:.2f}" if ratio is not None else "")
        row(title, measure, said, None if ratio is None else ratio >= factor)
    added = results.difference("p50", "moat", "direct")
    row("p50, ms", "p50", f"+0.18, is +{added or 0:.2f}", None if added is None else added <= 0.18, "{:.3f}")
    for title, measure in (("64 MB down, MB/s", "down"), ("64 MB up, MB/s", "up")):
        ratio = results.ratio(measure, "moat", "relay")
        said = "0.90 x relay" + (f", is {ratio:.2f}" if ratio is not None else "")
        row(title, measure, said, None if ratio is None else ratio >= 0.9)
    for title, measure, limit in (("first event, ms", "event", 5.0), ("WebSocket echo, ms", "echo", 0.3)):
        added = results.difference(measure, "moat", "direct")
        said = f"+{limit}, is +{added or 0:.2f}"
        row(title, measure, said, None if added is None else added <= limit, "{:.3f}")
    for title, measure in (("MB, 100 hosts", "memory hosts"), ("MB, 1 GB bodies", "memory body")):
        grown = results.median(measure, "moat")
        row(title, measure, "+20", None if grown is None else grown <= 20, "{:.1f}")
    row("requests/s, no credential", "without credential 1", "", None)
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, no gates")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    options = parser.parse_args(arguments)
    names = [name for name in CONTENDERS if name in options.only.split(",")]
    if "squid" in names and not shutil.which("squid"):
        names.remove("squid")
        sys.stdout.write("squid is not installed: its column stays empty\n")
    results = Results()
    with tempfile.TemporaryDirectory(prefix="moat-bench-") as temporary, ExitStack() as stack:
        directory = Path(temporary).resolve()
        chain, ca = certificates(directory)
        (port,), _ = stack.enter_context(running(CLIENT_CORE, "upstream", str(chain)))
        peers = Peers(port, ca)
        if "relay" in names:
            (peers.proxies["relay"],), _ = stack.enter_context(
                running(PROXY_CORE, "relay", str(chain), str(ca), str(port))
            )
        if "squid" in names:
            (directory / "squid").mkdir()
            peers.proxies["squid"], peers.trust["squid"] = stack.enter_context(squid(directory / "squid", ca))
        if "moat" in names:
            home = directory / "moat"
            (peers.proxies["moat"],), peers.processes["moat"] = stack.enter_context(
                running(PROXY_CORE, "moat", str(home), str(ca), str(port), TOKEN)
            )
            peers.trust["moat"] = home / "proxy" / "ca" / "ca.crt"
            memory(peers, results, options.quick)
        for _ in range(1 if options.quick else options.rounds):
            round_of(peers, names, results, options.quick)
    lines = table(results)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if options.quick or not any(line.endswith("missed") for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
