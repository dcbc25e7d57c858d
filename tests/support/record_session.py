"""Record the session that the screenshots show: real runs in real containers, their requests and their proof.

    python tests/support/record_session.py [FOLDER]

What is kept, in `screenshots/session/`, are the files that the engine wrote (`home/`), the credentials'
descriptions without a value, what the doctor found, and the moment it ended (`session.json`). Nothing in
it is made up but one thing: an entry of the finished run `triage` is changed, to show what a broken chain
looks like. It is recorded once and drawn from again and again: times, ids and hashes differ from one
recording to the next, and pictures that CI can compare must not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import msgspec  # noqa: E402
from support.upstream import Response, SeenRequest, Upstream  # noqa: E402

from engine import Home, list_grants, run_checks, timestamp  # noqa: E402

SESSION = ROOT / "screenshots" / "session"
IMAGE = "moat-base:bookworm"
HOSTS = ("api.github.com", "github.com", "api.anthropic.com", "api.openai.com", "docs.python.org")
GRANTS = ("anthropic", "github", "openai", "sentry")
KEPT = ("metadata.json", "network.jsonl", "logs.jsonl", "usage.json")
WAITING = "waiting for the next task"

REVIEW = r"""
say() { printf "$1\n"; }
ask() { curl -s -o /dev/null --max-time 30 "$@"; sleep ${PACE:-0}; }
api=https://api.github.com/repos/acme/shop
model=https://api.anthropic.com/v1/messages
say '\033[1mReviewing acme/shop#482\033[0m  Round totals per line, not per cart\n'
ask https://api.github.com/user
ask $api/pulls/482
say '\033[36m▸\033[0m reading 14 changed files'
ask "$api/pulls/482/files?per_page=100"
ask -d '{"model":"claude","messages":[{"role":"user","content":"Review this change."}]}' $model
say '\033[36m▸\033[0m running the tests of src/cart.py'
ask "$api/contents/src/cart.py?ref=9f2c41d"
ask "$api/contents/tests/test_cart_rounding.py?ref=9f2c41d"
say '\ntests/test_cart.py \033[32m........................\033[0m\033[31mF\033[0m\033[32m...\033[0m\n'
say '\033[31m    def test_rounding_is_per_line():\033[0m'
say "\033[31m>       assert total([0.335, 0.335]) == Decimal('0.68')\033[0m"
say "\033[31mE       AssertionError: assert Decimal('0.67') == Decimal('0.68')\033[0m\n"
ask https://telemetry.example.net/v1/ping
ask https://docs.python.org/3/library/decimal.html
echo 'note: git hooks of the workspace are not run' >&2
ask -d '{"model":"claude","messages":[{"role":"user","content":"Why does this test fail?"}]}' "$model?busy"
ask -d '{"model":"claude","messages":[{"role":"user","content":"Why does this test fail?"}]}' $model
ask $api/issues/482/comments
ask -d '{"body":"The total is rounded once for the cart, and the test wants it for each line."}' \
    $api/pulls/482/comments
ask -X PATCH -d '{"state":"open"}' $api/pulls/482
ask $api/commits/9f2c41d/status
say '\033[1;32m✓\033[0m posted 2 review comments'
say '\033]0;all fine\a an escape that would change the title of the terminal stays on its line'
say '\033[2mwaiting for the next task\033[0m'
sleep 600
"""
DEPS = """
for page in 1 2 3 4 5; do
  curl -s -o /dev/null "https://api.github.com/repos/acme/shop/dependabot?page=$page"
  sleep ${PACE:-0}
done
echo 'waiting for the next task'
sleep 600
"""
TRIAGE = """
for issue in 17 18 21 22 30; do
  curl -s -o /dev/null "https://api.github.com/repos/acme/site/issues/$issue"
  curl -s -o /dev/null -d '{"model":"gpt","input":"Which label?"}' https://api.openai.com/v1/responses
  echo "issue $issue: bug"
done
"""
DOCS = "echo 'Makefile:3: *** missing separator.  Stop.' >&2; exit 2"


class _Services(Upstream):
    """All services in one; every path is answered, a few in ways that are worth a look."""

    async def respond(self, request: SeenRequest) -> Response:
        parts = urlsplit(request.path)
        if parts.path in ("/v1/messages", "/v1/responses"):
            await asyncio.sleep(0.7 if not parts.query else 0.1)
            if parts.query:
                return Response(529, b'{"type":"error","error":{"type":"overloaded_error"}}')
            return Response(
                200, json.dumps({"role": "assistant", "content": "The total is rounded once."}).encode()
            )
        await asyncio.sleep(0.02)
        if "rounding" in parts.path:
            return Response(404, b'{"message":"Not Found"}')
        if parts.path.endswith(".html"):
            return Response(200, b"<!DOCTYPE html><title>decimal</title>", kind="text/html")
        status = 201 if request.method == "POST" else 200
        return Response(status, json.dumps({"path": parts.path, "login": "dana", "state": "open"}).encode())


@contextlib.contextmanager
def _services() -> Iterator[_Services]:
    """Served from a thread of their own while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    async def start() -> _Services:
        services = _Services(HOSTS)
        await services.start()
        return services

    services = call(start())
    try:
        yield services
    finally:
        call(services.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class _Session:
    """The command line on a home of its own; `person` stands for the directory of who uses it."""

    def __init__(self, folder: Path, services: _Services, pace: float) -> None:
        self.home = Home(folder / "person" / ".moat")
        self.person = folder / "person"
        self.tokens = {name: f"demo-{secrets.token_hex(16)}" for name in GRANTS}
        self._reach = [
            *(part for host in HOSTS for part in ("--connect-to", services.connect_to(host))),
            *("--upstream-ca", str(services.ca_file), "--env", f"PACE={pace:g}"),
        ]
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("MOAT_")} | {
            "HOME": str(self.person),
            "MOAT_HOME": str(self.home.root),
            "MOAT_KEYRING_BACKEND": "file",
        }

    def moat(self, *args: str, given: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "moat_tui", *args],
            input=given, capture_output=True, text=True, env=self._env, timeout=180, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise SystemExit(f"moat {' '.join(args)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def run(self, name: str, place: str, script: str, *flags: str, check: bool = True) -> None:
        workspace = self.person / "src" / place
        workspace.mkdir(parents=True, exist_ok=True)
        (workspace / f"{name}.sh").write_text(script, encoding="utf-8")
        self.moat(
            "--no-ui", "run", str(workspace), "--name", name, "--image", IMAGE, *self._reach, *flags,
            "--", "sh", f"{name}.sh", check=check,
        )  # fmt: skip

    def infos(self) -> dict[str, dict[str, object]]:
        return {run["name"]: run for run in json.loads(self.moat("list", "--json"))}

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 120
        while WAITING not in self.moat("logs", name):
            if time.monotonic() > deadline:
                raise SystemExit(f"the run {name} did not come to its end")
            time.sleep(0.2)


def record(folder: Path, pace: float = 3.0) -> None:
    """Run the session on this machine's Docker engine and keep it in `folder`, replacing what is there.

    pace: seconds that the live agents rest after each request.
    """
    with tempfile.TemporaryDirectory(prefix="moat-session-") as name, _services() as services:
        session = _Session(Path(name), services, pace)
        try:
            _work(session)
            _keep(session, folder)
        finally:
            for run in session.infos().values():
                if run["state"] in ("starting", "running", "stopping"):
                    session.moat("stop", "--kill", str(run["id"]), check=False)
            session.moat("clean", check=False)


def _work(session: _Session) -> None:
    for grant, token in session.tokens.items():
        session.moat("grant", grant, "--stdin", "--no-validate", given=token)
    shop = session.person / "src" / "shop"
    shop.mkdir(parents=True)
    (shop / "agent.yaml").write_text("agent: claude\ngrants: [github]\nnetwork:\n  policy: strict\n")
    session.run("try-image", "site", "true", "--image", "debain:bookworm", check=False)
    session.run("nightly-docs", "docs", DOCS, check=False)
    session.run("triage", "site", TRIAGE, "-g", "openai,github", "--no-sandbox")
    session.run("deps-update", "shop", DEPS, "-g", "github", "--detach", "--accept-config")
    session.run(
        "review-pr-482", "shop", REVIEW, "-g", "github,anthropic", "--policy", "strict",
        "--allow-host", "docs.python.org", "--detach", "--accept-config",
    )  # fmt: skip
    session.wait_for("deps-update")
    session.wait_for("review-pr-482")


def _keep(session: _Session, folder: Path) -> None:
    home = session.home
    ended = timestamp()
    shutil.rmtree(folder, ignore_errors=True)
    for run in session.infos().values():
        source, target = home.run(str(run["id"])), folder / "home" / "runs" / str(run["id"])
        target.mkdir(parents=True)
        for name in KEPT:
            if (source / name).exists():
                # The person's home is `~` in what is kept, whatever directory played it.
                text = (source / name).read_text(encoding="utf-8").replace(str(session.person), "~")
                (target / name).write_text(text, encoding="utf-8")
        if (source / "audit.db").exists():
            _copy_log(source / "audit.db", target / "audit.db")
        if run["name"] == "triage":
            _tamper(target / "audit.db")
    shutil.copyfile(session.person / "src" / "shop" / "agent.yaml", folder / "agent.yaml")
    (folder / "home" / "heads").mkdir()
    shutil.copyfile(home.heads / "signing.pub", folder / "home" / "heads" / "signing.pub")
    os.environ["MOAT_KEYRING_BACKEND"] = "file"
    found = {
        "ended": ended,
        "grants": [
            msgspec.structs.replace(grant, last_used_at="", last_used_run="") for grant in list_grants(home)
        ],
        "checks": asyncio.run(run_checks(home)),
    }
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    text = text.replace(str(session.person), "~").replace(str(ROOT), "~/src/moat")
    (folder / "session.json").write_text(text + "\n", encoding="utf-8")
    for file in folder.rglob("*"):
        if file.is_file() and any(token.encode() in file.read_bytes() for token in session.tokens.values()):
            raise SystemExit(f"{file} holds a credential")


def _copy_log(source: Path, target: Path) -> None:
    """As it is now, in one file: a live run's newest entries are still in the journal beside it."""
    with (
        contextlib.closing(sqlite3.connect(source)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")


def _tamper(log: Path) -> None:
    with contextlib.closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE entries SET data = replace(data, 'api.github.com', 'api.github.org')"
            " WHERE seq = (SELECT min(seq) FROM entries WHERE type = 'network')"
        )


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else SESSION)
