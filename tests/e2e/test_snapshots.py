"""Snapshots of real runs: what an agent changed comes back byte for byte, and no link leads a restore out."""

from __future__ import annotations

import os
import stat

import pytest
from e2e.conftest import wait_until

KINDS = {"standard": ("--no-sandbox",), "bubblewrap": ("--runtime", "bubblewrap")}
kinds = pytest.mark.parametrize("kind", [
    pytest.param("standard", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
])  # fmt: skip
NEEDLE = "needle-of-the-workspace-5f1c0ffee"

AGENT = r"""
printf changed >text.txt; rm -r src; mkdir text; echo new >text/new; chmod 600 tool; ln -sf /etc/passwd link
head -c 3000000 /dev/urandom >binary; printf 'x' >"$(printf 'a\nb')"
touch /tmp/ready; while [ ! -e go ]; do sleep 0.05; done
"""


def tree(root):
    found = {}
    for folder, names, files in os.walk(os.fsencode(root)):
        for name in names + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                found[path] = os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                found[path] = stat.S_IMODE(status.st_mode)
            else:
                with open(path, "rb") as file:
                    found[path] = (stat.S_IMODE(status.st_mode), file.read())
    return found


@kinds
def test_what_an_agent_changed_comes_back(moat, workspace, kind):
    (workspace / "text.txt").write_text(NEEDLE)
    (workspace / "tool").write_text("#!/bin/sh\n")
    (workspace / "tool").chmod(0o755)
    (workspace / "src/deep").mkdir(parents=True)
    (workspace / "src/deep/file").write_text("deep")
    (workspace / "empty").mkdir()
    (workspace / "link").symlink_to("text.txt")
    (workspace / "binary").write_bytes(os.urandom(3_000_000))
    before = tree(workspace)
    moat("run", "-d", "-n", "changer", *KINDS[kind], workspace, "--", "sh", "-c", AGENT)
    wait_until(lambda: (workspace / "a\nb").exists())

    made = moat.json("snapshot", "changer", "--label", "in between")
    refused = moat("restore", "changer", "s1", check=False)
    (workspace / "go").touch()
    wait_until(lambda: moat.run_named("changer")["state"] == "exited")
    changed = tree(workspace)

    assert (made["id"], made["reason"]) == ("s2", "asked")
    assert refused.returncode == 125
    assert b"at work" in refused.stderr
    done = moat.json("restore", "changer", "s1")
    assert tree(workspace) == before
    assert moat.json("restore", "changer", done["safety"]["id"])["done"]["failed"] == 0
    assert tree(workspace) == changed
    entries = [entry["data"] for entry in moat.entries("changer")]
    assert any(data.get("action") == "snapshot" and "s1 at the start" in data["reason"] for data in entries)
    assert any(data.get("operation") == "snapshot s2" for data in entries)
    assert moat.json("audit", "changer")["valid"]
    assert moat.files_with(NEEDLE)
    moat("destroy", "-y", "changer")
    assert not moat.files_with(NEEDLE)


@pytest.mark.bubblewrap
def test_an_agent_that_swaps_folders_for_links_meanwhile(moat, workspace, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(20):
        (workspace / "folder").mkdir(exist_ok=True)
        (workspace / "folder" / str(number)).write_text("mine")
        (outside / str(number)).write_text("the person's")
    swap = (
        "import os,shutil,sys\nopen('/tmp/x','w')\nn=0\n"
        "while not os.path.exists('go'):\n"
        " try:\n"
        "  n += 1\n"
        "  os.rename('folder', f'moved{n % 5}')\n"
        f"  os.symlink({str(outside)!r}, 'folder')\n"
        "  os.unlink('folder')\n"
        "  os.rename(f'moved{n % 5}', 'folder')\n"
        "  if n == 50: open('ready', 'w')\n"
        " except OSError: os.makedirs('folder', exist_ok=True) if not os.path.islink('folder') else 0\n"
        " for i in range(20):\n"
        "  try: open(f'folder/{i}', 'w').write('agent')\n"
        "  except OSError: pass\n"
    )
    moat("run", "-d", "-n", "swapper", *KINDS["bubblewrap"], workspace, "--", "python3", "-c", swap)
    wait_until(lambda: (workspace / "ready").exists())

    for _ in range(3):
        moat("restore", "swapper", "s1", "--force", check=False)
        moat("snapshot", "swapper")
    (workspace / "go").touch()
    wait_until(lambda: moat.run_named("swapper")["state"] == "exited")
    moat("restore", "swapper", "s1")

    assert {path.name: path.read_text() for path in outside.iterdir()} == {
        str(number): "the person's" for number in range(20)
    }
    assert {path.read_text() for path in (workspace / "folder").iterdir()} == {"mine"}
    assert sorted(os.listdir(workspace)) == ["folder"]
    assert not moat.files_with("the person's")
