"""What goes wrong is said in at most three lines, with the remedy, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from e2e.conftest import CANARY

REFUSED = 125
USAGE = 2


def refused(moat, *args, code=REFUSED, **env):
    """The error lines of a command that must fail with `code`, without a traceback or a value."""
    done = moat(*args, check=False, **env)
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert "Traceback" not in text
    assert CANARY not in text
    lines = text[text.index("moat: error: ") :].splitlines()
    assert len(lines) <= 3, text
    return " ".join(lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("grants: [github\n", ("agent.yaml:2", "not valid YAML")),
        ("gratns: [github]\n", ("agent.yaml:1", "gratns", "grants")),
        ("network:\n  policy: stricct\n", ("agent.yaml:2", "network.policy", "strict")),
        ("grants: [githib]\n", ("githib", "github")),
        ("secrets:\n  A: hunter2\n", ("agent.yaml:2", "secrets.A", "op://VAULT/ITEM/FIELD")),
        ("env:\n  HTTP_PROXY: http://evil.test\n", ("HTTP_PROXY", "agent.yaml:2")),
    ],
)
def test_agent_yaml(moat, workspace, content, said):
    (workspace / "agent.yaml").write_text(content)
    text = refused(moat, "run", workspace, "--", "true")
    for part in said:
        assert part in text
    assert moat.runs() == []


def test_agent_yaml_and_moat_yaml_at_once(moat, workspace):
    for name in ("agent.yaml", "moat.yaml"):
        (workspace / name).write_text("name: x\n")
    assert "moat.yaml" in refused(moat, "run", workspace, "--", "true")


def test_threat_21_the_proxy_cannot_be_moved_by_env(moat, workspace):
    for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY"):
        assert name in refused(moat, "run", workspace, "-e", f"{name}=x", "--", "true", code=USAGE)


def test_threat_33_a_grant_named_like_a_path(moat, workspace):
    for name in ("../x", "/etc/passwd", "a/b"):
        refused(moat, "run", workspace, "-g", name, "--", "true", code=USAGE)
        assert moat("grant", name, "--stdin", "--no-validate", given=b"t", check=False).returncode in (2, 125)
    assert not list(moat.home.rglob("x.enc"))


def test_a_grant_without_a_credential_names_the_command(moat, workspace):
    assert "moat grant github" in refused(moat, "run", workspace, "-g", "github", "--", "true")


def test_a_workspace_that_is_a_file_or_missing(moat, workspace):
    (workspace / "file").touch()
    assert "file" in refused(moat, "run", workspace / "file", "--", "true", code=USAGE)
    assert "nothere" in refused(moat, "run", workspace / "nothere", "--", "true", code=USAGE)


def test_a_mount_that_is_not_there_or_is_moats_own(moat, workspace):
    moat.grant()
    assert "nothere" in refused(moat, "run", workspace, "-m", "nothere:/x", "--", "true", code=USAGE)
    refused(moat, "run", workspace, "-m", f"{moat.home}:/x", "--", "true", code=USAGE)


def test_nothing_to_run(moat, workspace):
    assert "--" in refused(moat, "--no-ui", "run", workspace, code=USAGE)


@pytest.mark.docker
def test_an_image_that_does_not_exist(moat, workspace):
    text = refused(moat, "run", workspace, "--image", "moat-no-such-image:1", "--", "true")
    assert "moat-no-such-image:1" in text
    (run,) = moat.runs()
    assert run["state"] == "failed"
    assert "moat-no-such-image:1" in run["error"]


def test_a_dead_daemon(moat, workspace, tmp_path):
    socket = f"unix://{tmp_path}/none.sock"
    said = refused(moat, "run", workspace, "--", "true", DOCKER_HOST=socket)
    assert "DOCKER_HOST" in said
    assert "--runtime bubblewrap" in said
    assert moat("list", DOCKER_HOST=socket).returncode == 0


def test_threat_34_a_flipped_or_swapped_credential_names_the_file(moat, workspace):
    moat.grant()
    moat("grant", "openai", "--stdin", "--no-validate", given=b"sk-other-value-000")
    store = moat.home / "credentials"
    good = (store / "github.enc").read_bytes()
    for damage in (good[:20] + bytes([good[20] ^ 1]) + good[21:], good[:10], b"",
                   (store / "openai.enc").read_bytes()):  # fmt: skip
        (store / "github.enc").write_bytes(damage)
        assert "github.enc" in refused(moat, "run", workspace, "-g", "github", "--", "true")
        states = {g["provider"]: g["state"] for g in moat.json("grant", "list")}
        assert states == {"github": "unreadable", "openai": "valid"}
    (store / "github.enc").write_bytes(good)
    assert {g["state"] for g in moat.json("grant", "list")} == {"valid"}


@pytest.mark.docker
def test_threat_35_a_damaged_audit_log_is_called_what_it_is(moat, workspace):
    moat("run", workspace, "--name", "r", "--no-sandbox", "--", "echo", "hello")
    database = moat.home / "runs" / moat.run_named("r")["id"] / "audit.db"
    good = database.read_bytes()

    assert b"hello" in good
    database.write_bytes(good.replace(b"hello", b"jello"))
    done = moat("audit", "r", "--json", check=False)
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["valid"], verdict["hash_chain_valid"]) == (1, False, False)
    assert "entry tampered" in verdict["error"]
    assert "TAMPERED" in moat("audit", "r", check=False).stdout.decode()

    for damage in (b"", b"not a database", good[: len(good) // 2]):
        database.write_bytes(damage)
        done = moat("audit", "r", "--json", check=False)
        assert (done.returncode, json.loads(done.stdout)["valid"]) == (1, False)
    database.unlink()
    assert moat("audit", "r", check=False).returncode in (1, 125)
    assert moat("list").returncode == 0


def test_a_bundle_that_is_no_bundle(moat, tmp_path):
    file = tmp_path / "proof.json"
    for content in ("", "{", "[]", '{"version": 1}', '{"version": 99, "entries": []}'):
        file.write_text(content)
        done = moat("audit", "verify", file, check=False)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="mounting a small disk needs root")
def test_a_full_disk_loses_nothing_that_was_there(moat, workspace, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", disk], check=True)
    try:
        moat.home = disk / "home"
        moat.env["MOAT_HOME"] = str(moat.home)
        moat.grant()
        with open(disk / "filler", "wb") as filler:
            free = shutil.disk_usage(disk).free
            filler.write(b"\0" * max(0, free - 8192))
        text = moat(
            "grant", "openai", "--stdin", "--no-validate", given=b"x" * 60_000, check=False
        ).stderr.decode()
        assert "Traceback" not in text
        done = moat("run", workspace, "--no-sandbox", "--", "sh", "-c", "echo hello", check=False)
        said = done.stderr.decode()
        assert "Traceback" not in said
        assert done.returncode in (0, REFUSED), said
        assert "disk" in said.lower()
        (disk / "filler").unlink()
        assert moat.json("grant", "list")[0]["state"] == "valid"
        assert moat("run", workspace, "--no-sandbox", "--", "echo", "again").stdout == b"again\n"
    finally:
        moat.close()
        subprocess.run(["umount", "-l", disk], check=True)
