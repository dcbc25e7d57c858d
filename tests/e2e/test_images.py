"""What agent.yaml adds to the image: made once, behind the run's proxy, and whole or not at all."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e.conftest import TOOLS_IMAGE, Moat, docker, kill, wait_until

from engine.runtimes import home_label

pytestmark = pytest.mark.docker

ALL = """
dependencies: [tree]
network: {{policy: strict, allow: [{mirrors}]}}
hooks:
  post_build_root: |
    echo "root: $(id -u) $(pwd)" >/etc/by-root
    if touch /workspace/here || [ -e /workspace ]; then exit 9; fi
    curl -s -m 5 -o /dev/null -w '%{{http_code}}' http://nowhere.test/ >/etc/reached || true
  post_build: |
    echo "agent: $(id -u) $(pwd)" >~/by-agent
  pre_run: |
    echo "pre: $(pwd)"
command: [sh, -c, "tree --version | cut -c-5; cat /etc/by-root /etc/reached ~/by-agent"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Shared by the module: what one test has made, others find."""
    moat = Moat(tmp_path_factory.mktemp("images") / "home")
    yield moat
    moat.close()
    remove_made(moat)


@pytest.fixture(scope="module")
def mirrors():
    """Hosts and ports of where the base image gets its packages."""
    files = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true"
    sources = docker("run", "--rm", TOOLS_IMAGE, "sh", "-c", files)
    found = map(urlsplit, re.findall(r"https?://[^\s]+", sources))
    return sorted(
        {f"{each.hostname}:{each.port or (443 if each.scheme == 'https' else 80)}" for each in found}
    )


def made(moat: Moat) -> list[str]:
    filters = f"label=moat.image={home_label(moat.home)}"
    return docker("image", "ls", "--filter", filters, "--format", "{{.Repository}}:{{.Tag}}").split()


def remove_made(moat: Moat) -> None:
    for _ in range(2):  # what was a layer of another is nameless now
        ids = docker("image", "ls", "-q", "--filter", f"label=moat.image={home_label(moat.home)}").split()
        if ids:
            subprocess.run(["docker", "rmi", "-f", *ids], capture_output=True, check=False)


def steps(stderr: bytes) -> list[str]:
    return re.findall(r"^moat: making the image, step (\d of \d)", stderr.decode(), re.MULTILINE)


def hooked(workspace: Path, *lines: str) -> None:
    text = "\n".join(f"    {line}" for line in lines)
    (workspace / "agent.yaml").write_text(f"hooks:\n  post_build_root: |\n{text}\n")


@pytest.mark.gvisor
def test_it_is_made_once_and_anew_where_something_changed(home, workspace, mirrors):
    """With the policy strict: by the run's own proxy, without the workspace, and then found by gVisor too."""
    text = ALL.format(mirrors=", ".join(mirrors))
    (workspace / "agent.yaml").write_text(text)
    # A machine's own mirror may well be in its own network.
    given = tuple(word for each in mirrors for word in ("--allow-private", each))
    first = home("run", "-n", "made", workspace, "--no-sandbox", *given)
    assert steps(first.stderr) == ["1 of 3", "2 of 3", "3 of 3"]
    asked = "the first run here; agent.yaml gives it: dependency tree; hook post_build_root (sha256 "
    assert asked in first.stderr.decode()
    user, where = docker("run", "--rm", TOOLS_IMAGE, "id", "-u").strip(), "/root"
    lines = ["pre: /workspace", "tree ", "root: 0 /", f"403agent: {user} {where}"]
    assert first.stdout.decode().splitlines() == lines
    reached = {urlsplit(each["url"]).hostname for each in home.requests("made")}
    assert "nowhere.test" in reached
    assert reached <= {"nowhere.test", *(each.partition(":")[0] for each in mirrors)}
    entries = [entry["data"] for entry in home.entries("made") if entry["type"] == "container"]
    entries = [entry for entry in entries if entry["action"] in ("building", "built", "started")]
    assert [entry["action"] for entry in entries] == ["building", "built"] * 3 + ["started"]
    assert entries[0]["reason"].endswith(": packages tree, sandbox standard")
    name = home.run_named("made")["layers"][-1]
    assert f"image {name} (sha256:" in entries[6]["reason"]
    assert "with packages tree; hook post_build_root (sha256 " in entries[6]["reason"]

    inspected = json.loads(docker("image", "inspect", name, TOOLS_IMAGE))
    assert inspected[0]["Config"]["Env"] == inspected[1]["Config"]["Env"]
    history = docker("history", "--no-trunc", name)
    assert not re.search(r"moat:|HTTP_PROXY|BEGIN CERT", history + json.dumps(inspected[0]["Config"]["Cmd"]))

    again = home("run", workspace, *given)
    assert again.stdout.decode().splitlines() == lines
    assert steps(again.stderr) == []

    (workspace / "agent.yaml").write_text(text.replace('"agent: ', '"moved: '))
    refused = home("run", workspace, "--no-sandbox", *given, check=False)
    assert refused.returncode == 125
    assert b"hook post_build (sha256 " in refused.stderr
    changed = home("run", workspace, "--no-sandbox", "--accept-config", *given)
    assert steps(changed.stderr) == ["3 of 3"]
    assert b"moved: " in changed.stdout


def test_a_step_that_fails_says_why_and_leaves_nothing(home, workspace):
    hooked(workspace, "curl -sSf -m 5 http://nowhere.test/", "echo not reached")
    done = home("run", workspace, "--no-sandbox", "--policy", "strict", "--", "true", check=False)
    assert done.returncode == 125
    *_, what, why, remedy = done.stderr.decode().splitlines()
    assert re.fullmatch(
        r"moat: error: the image could not be made: hook post_build_root \(sha256 \w{16}\)"
        r" ended with exit code 22", what,
    )  # fmt: skip
    assert "The requested URL returned error: 403" in why
    assert "The proxy refused nowhere.test (" in remedy
    log = Path(remedy.partition("All that it printed: ")[2])
    assert "error: 403" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    run = home.runs()[0]
    assert run["state"] == "failed"
    assert not set(run["layers"]) & set(made(home))
    assert run["id"] not in docker("ps", "-a", "--format", "{{.Names}}")

    hooked(workspace, r"printf 'out\n\033]52;c;aGk=\007last'; kill -TERM $$")
    done = home("run", workspace, "--no-sandbox", "--accept-config", "--", "true", check=False)
    assert b"ended with exit code 143\n" in done.stderr
    assert b"\xef\xbf\xbd]52;c;aGk=\xef\xbf\xbdlast" in done.stderr
    assert not {0x1B, 0x07} & {*done.stderr}


def test_of_two_runs_that_want_the_same_one_makes_it(home, workspace):
    hooked(workspace, "sleep 1; date +%N >/stamp")
    runs = [home.start("run", workspace, "--no-sandbox", "--", "cat", "/stamp") for _ in range(2)]
    said = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert said[0][0] == said[1][0] != b""
    assert sorted(len(steps(err)) for _, err in said) == [0, 1]
    assert any(b"waiting for another run, which is making the image" in err for _, err in said)

    rebuilt = home("run", workspace, "--no-sandbox", "--rebuild", "--", "cat", "/stamp")
    assert steps(rebuilt.stderr) == ["1 of 1"]
    assert rebuilt.stdout not in (b"", said[0][0])
    (workspace / "agent.yaml").unlink()
    assert b"nothing to make anew" in home("run", workspace, "--no-sandbox", "--rebuild", "--", "true").stderr
    # The one before --rebuild has no name any more; of the other no workspace's latest run was made.
    gone = {home.runs()[1]["layers"][0], "<none>:<none>"}
    assert gone <= set(made(home))
    home("clean")
    assert not gone & set(made(home))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_broken_off_leaves_nothing(home, workspace, number):
    hooked(workspace, f"touch /begun-{number:d}; sleep 600")
    name = f"broken-{number:d}"
    run = home.start("run", "-n", name, workspace, "--no-sandbox", "--accept-config", "--", "true")
    try:
        container = wait_until(lambda: _making(name, home))
        if number is signal.SIGKILL:
            kill(run.pid)
            run.communicate(timeout=30)
            assert container in docker("ps", "--format", "{{.Names}}")
            home("clean")
        else:
            run.send_signal(number)
            run.communicate(timeout=30)
        assert container.removesuffix("-image") not in docker("ps", "-a", "--format", "{{.Names}}")
        found = home.run_named(name)
        assert found["state"] == ("interrupted" if number is signal.SIGKILL else "stopped")
        assert not set(found["layers"]) & set(made(home))
    finally:
        run.kill()
        run.communicate()


def _making(name: str, moat: Moat) -> str:
    """The name of the container of the step, once its shell has begun with it."""
    run = next((run for run in moat.runs() if run["name"] == name), {"id": "none"})
    container = f"moat-{run['id']}-image"
    seen = subprocess.run(["docker", "top", container, "-o", "pid,args"], capture_output=True, check=False)
    return container if b"sleep 600" in seen.stdout else ""


def test_in_the_background_it_is_said_too_and_waited_for(home, workspace):
    hooked(workspace, "echo background >/made-by")
    done = home("run", "-d", "-n", "behind", workspace, "--no-sandbox", "--", "cat", "/made-by")
    assert steps(done.stderr) == ["1 of 1"]
    wait_until(lambda: home.run_named("behind")["state"] == "exited")
    assert home("logs", "behind").stdout == b"background\n"
