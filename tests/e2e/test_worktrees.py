"""Agents commit in worktrees, and one was told to get out by what the person's git obeys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from e2e.conftest import wait_until
from support.git_repository import Repository

KINDS = {"standard": ("--no-sandbox",), "gvisor": (), "bubblewrap": ("--runtime", "bubblewrap")}
kinds = pytest.mark.parametrize("kind", [
    pytest.param("standard", marks=pytest.mark.docker),
    pytest.param("gvisor", marks=pytest.mark.gvisor),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
])  # fmt: skip

COMMIT = "git log --format=%s -1 && echo b >b.txt && git add b.txt && git commit -qm 'from inside'"

# Where the worktree lies on the host the agent is told, as if it had found out: the worst case.
ATTACK = r"""
set -u
evil="$1/evil.sh"
printf '#!/bin/sh\ntouch "%s"\nexit 1\n' "$2" >evil.sh; chmod 755 evil.sh
git config user.name a; git config user.email b
echo '* filter=evil diff=evil merge=evil' >.gitattributes
git add .gitattributes evil.sh; git commit -qm 'looks harmless'
mkdir -p .git/hooks .git/info
for hook in reference-transaction post-checkout post-merge pre-auto-gc post-index-change fsmonitor-watchman \
            post-update pre-push; do cp evil.sh .git/hooks/$hook; done
for key in core.fsmonitor core.alternateRefsCommand core.sshCommand core.pager core.editor core.askPass \
           credential.helper gpg.program diff.external diff.evil.textconv filter.evil.smudge \
           filter.evil.clean filter.evil.process merge.evil.driver uploadpack.packObjectsHook; do
    git config $key "$evil"
done
git config core.hooksPath "$1/.git/hooks"
git config include.path "$3/.git/config"
git config core.worktree "$3"
printf '%s\n' "$3/.git/objects" >.git/objects/info/alternates
ln -s "$3/.git" person
printf 'gitdir: %s\n' "$3/.git" >inner-git; mkdir inner; mv inner-git inner/.git
# What of the host is there?
ls -d "$3" "$1" "$4" 2>&1
grep -c . "$3/.git/config" 2>/dev/null
exit 0
"""


def bytes_of(folder: Path) -> dict[str, bytes]:
    obeyed = [folder / "config", folder / "HEAD", *folder.glob("hooks/*"), *folder.glob("info/*")]
    return {path.name: path.read_bytes() for path in obeyed if path.is_file()}


@pytest.fixture
def person(tmp_path):
    return Repository(tmp_path / "project")


@kinds
def test_commits_reach_the_branch_and_no_trap_of_the_agents_the_person(moat, person, tmp_path, kind):
    where = ("run", person.path, *KINDS[kind], "--worktree", "fix/login")
    done = moat(*where, "--", "sh", "-c", COMMIT)
    assert done.stdout == b"one\n"
    assert b"fix/login moved from" in done.stderr
    assert person("log", "--format=%s by %an", "fix/login").splitlines() == [
        "from inside by Person", "one by Person",
    ]  # fmt: skip
    assert person("status", "--porcelain") == ""
    run = moat.run_named("fix-login")
    assert (run["worktree"], run["repository"]) == ("fix/login", str(person.path))
    noted = [entry["data"] for entry in moat.entries("fix-login") if entry["type"] == "container"]
    assert any("fix/login moved" in data["reason"] for data in noted if data["action"] == "worktree")

    marker = tmp_path / "caught"
    before = bytes_of(person.path / ".git")
    told = (run["workspace"], marker, person.path, moat.home)
    attack = moat(*where, "--", "sh", "-c", ATTACK, "sh", *told, check=False)
    seen = [line for line in attack.stdout.decode().splitlines() if "cannot access" not in line]
    assert seen in ([], ["0"]), "nothing of the person's is there"

    assert person("log", "--format=%s", "-1", "fix/login") == "looks harmless"
    assert bytes_of(person.path / ".git") == before
    moat("worktree", "list")
    moat("worktree", "fetch")
    assert moat("worktree", "clean", check=False).stdout.startswith(b"fix/login: it stays")
    moat(*where, "-n", "again", "--", "true", check=False)
    for words in (
        ("status",),
        ("fsck",),
        ("gc", "-q"),
        ("switch", "-q", "fix/login"),
        ("switch", "-q", "main"),
    ):
        person(*words)
    assert not marker.exists()
    assert moat("worktree", "clean", "--force", "fix/login").stdout.startswith(b"fix/login: removed")
    assert not Path(run["workspace"]).exists()


@pytest.mark.bubblewrap
def test_two_agents_on_one_repository_and_two_on_one_branch(moat, person):
    begin = ("run", "-d", person.path, "--runtime", "bubblewrap", "--worktree")
    script = "git commit -q --allow-empty -m $0 && touch ready && while [ ! -e go ]; do sleep 0.05; done"
    for branch in ("one", "two"):
        moat(*begin, branch, "--", "sh", "-c", script, branch)
    trees = [Path(moat.run_named(name)["workspace"]) for name in ("one", "two")]
    refused = moat(
        "run", person.path, "--runtime", "bubblewrap", "--worktree", "one", "--", "true", check=False
    )
    assert refused.returncode == 125
    assert b"run one is at work" in refused.stderr
    assert moat("worktree", "clean", "one", check=False).returncode == 1
    wait_until(lambda: all((tree / "ready").exists() for tree in trees))
    assert b"one moved" in moat("worktree", "fetch", "one").stdout, "while it is at work"
    for tree in trees:
        (tree / "go").touch()
    wait_until(lambda: all(moat.run_named(name)["state"] == "exited" for name in ("one", "two")))
    assert [person("log", "--format=%s", "-1", name) for name in ("one", "two")] == ["one", "two"]


@pytest.mark.bubblewrap
def test_a_killed_supervisor_loses_no_commit(moat, person):
    script = f"{COMMIT} && touch ready && sleep 60"
    moat("run", "-d", person.path, "--runtime", "bubblewrap", "--worktree", "x", "--", "sh", "-c", script)
    run = moat.run_named("x")
    wait_until(lambda: (Path(run["workspace"]) / "ready").exists())
    subprocess.run(["kill", "-9", str(run["supervisor_pid"])], check=True)
    assert wait_until(lambda: moat.run_named("x")["state"] == "interrupted")
    assert moat.json("worktree", "list")[0]["unmerged"] == ["x"]

    assert b"x moved" in moat("worktree", "fetch").stdout
    assert person("log", "--format=%s", "-1", "x") == "from inside"


@pytest.mark.bubblewrap
def test_the_worktrees_own_agent_yaml_counts(moat, person):
    person.commit("config", **{"agent.yaml": "command: [sh, -c, 'echo from main']\n"})
    run = ("run", person.path, "--runtime", "bubblewrap", "--worktree", "x")
    assert moat(*run).stdout == b"from main\n"
    person.commit("later", **{"agent.yaml": "command: [sh, -c, 'echo later']\n"})
    assert moat(*run).stdout == b"from main\n", "the branch's, which was made before"
