"""The agent was told to get out: by what the person's git obeys, by what Moat's git reads, by links."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib

import pytest
from support.git_repository import Agents, Repository, trap

from engine.errors import MoatError, UsageError
from engine.worktrees import git
from engine.worktrees.agents import Unreadable, parse_head, parse_packed
from engine.worktrees.git import GitFailed
from engine.worktrees.repository import find_repository


def digest(folder):
    """Everything of the person's .git that is obeyed."""
    names = [
        folder / "config",
        folder / "HEAD",
        *(folder / "hooks").rglob("*"),
        *(folder / "info").rglob("*"),
    ]
    return {str(path): path.read_bytes() for path in names if path.is_file()}


def test_the_trap_works(person, tmp_path):
    """Or the tests below would prove nothing: git alone falls into it."""
    marker = tmp_path / "caught"
    trap(person.path / ".git", marker)
    caught = []
    for words in (
        ("update-ref", "refs/heads/x", "HEAD"), ("status",), ("checkout", "-f", "main"),
        ("diff", "--ext-diff", "HEAD"), ("fetch", "evil"), ("cat-file", "-p", "1" * 40),
    ):  # fmt: skip
        (person.path / "a.txt").write_text(words[0])
        person(*words, ok=False)
        if marker.exists():
            marker.unlink()
            caught.append(words[0])
    assert {"update-ref", "status", "checkout", "diff"} <= set(caught)


def test_nothing_the_agent_left_is_run(made, person, tmp_path, home):
    marker = tmp_path / "caught"
    inner = Repository(made.place.tree / "inner")
    made.agent("update-index", "--add", "--cacheinfo", f"160000,{inner.tip('HEAD')},inner")
    commit = made.agent.commit("agent's", **{"b.txt": "b\n", ".gitattributes": "* filter=evil diff=evil\n"})
    (inner.path / "a.txt").write_text("changed")
    trap(inner.path / ".git", marker)
    trap(made.place.tree / ".git", marker)
    before = digest(person.path / ".git")

    fetched = made.fetch()
    state = made.look()

    assert not marker.exists()
    assert person.tip("fix/login") == commit == fetched.after
    assert state.changes
    assert digest(person.path / ".git") == before


def test_nothing_an_earlier_agent_left_in_the_repository_is_run(person, make_worktree, tmp_path):
    marker = tmp_path / "caught"
    person.commit("attributes", **{".gitattributes": "* filter=evil diff=evil\n"})
    trap(person.path / ".git", marker)

    made = make_worktree()
    agent = Agents(made.place.tree)
    commit = agent.commit("agent's", **{"b.txt": "b\n"})
    made.fetch()
    made.look()

    assert not marker.exists()
    assert (person.path / ".git/refs/heads/fix/login").read_text().strip() == commit
    assert "evil" not in (made.place.tree / ".git/config").read_text()
    assert not (made.place.tree / ".git/hooks").exists()


def test_the_environment_leads_git_nowhere(person, make_worktree, monkeypatch, tmp_path):
    other = Repository(tmp_path / "other")
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, str(other.path / ".git"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {tmp_path}/caught")

    made = make_worktree()
    made.agent.commit("agent's", **{"b.txt": "b\n"})

    assert made.fetch().commits == 1
    assert made.look().clean
    assert not (tmp_path / "caught").exists()


@pytest.fixture
def secret(tmp_path):
    """Another repository of the person's, of which the agent knows a commit."""
    other = Repository(tmp_path / "secret")
    other.commit("secret", **{"secret.txt": "needle\n"})
    return other


@pytest.mark.parametrize("way", ["alternates", "objects", "pack", "loose", "git"])
def test_objects_of_another_repository_are_not_taken(made, person, secret, way):
    """A link to them, or a borrowed store, would bring them where the next run sees them."""
    git, theirs = made.place.tree / ".git", secret.path / ".git"
    commit = secret.tip("HEAD")
    if way == "alternates":
        (git / "objects/info").mkdir(exist_ok=True)
        (git / "objects/info/alternates").write_text(f"{theirs}/objects\n")
    elif way == "objects":
        shutil.rmtree(git / "objects")
        (git / "objects").symlink_to(theirs / "objects")
    elif way == "pack":
        secret("gc", "-q")
        [pack] = (theirs / "objects/pack").glob("*.pack")
        for suffix in (".pack", ".idx"):
            (git / "objects/pack" / pack.with_suffix(suffix).name).symlink_to(pack.with_suffix(suffix))
    elif way == "loose":
        for folder in (theirs / "objects").glob("??"):
            if not (git / "objects" / folder.name).exists():
                (git / "objects" / folder.name).symlink_to(folder)
    else:
        shutil.rmtree(git)
        git.symlink_to(theirs)
    if way != "git":
        (git / "refs/heads/fix").mkdir(parents=True, exist_ok=True)
        (git / "refs/heads/fix/login").write_text(commit + "\n")
    before = person.tip("fix/login")

    with pytest.raises(MoatError):
        made.fetch()

    assert person.tip("fix/login") == before
    assert "needle" not in person("cat-file", "-p", f"{commit}:secret.txt", ok=False)


def test_a_reference_that_is_a_link_is_not_followed(made, person, secret):
    head = made.place.tree / ".git/refs/heads/fix/login"
    head.parent.mkdir(parents=True, exist_ok=True)
    head.unlink(missing_ok=True)
    head.symlink_to(secret.path / ".git/refs/heads/main")

    with pytest.raises(Unreadable):
        made.fetch()


@pytest.mark.parametrize("way", ["HEAD", "packed-refs", "file", "reftable", "loop", "huge"])
def test_a_git_directory_that_is_none(made, way):
    git = made.place.tree / ".git"
    if way in ("HEAD", "packed-refs"):
        (git / way).unlink()
        os.mkfifo(git / way)  # whoever opened it would wait for ever
    elif way == "file":
        shutil.rmtree(git)
        git.write_text("gitdir: /etc\n")
    elif way == "reftable":
        (git / "reftable").mkdir()
    elif way == "loop":
        shutil.rmtree(git / "refs")
        (git / "refs").symlink_to("refs")
    else:
        with (git / "packed-refs").open("r+b") as file:
            file.truncate(17 << 20)
    try:
        made.fetch()
    except MoatError:
        assert made.look().problem
    else:
        assert way == "huge", "then it has no branches, and nothing was done"


def test_objects_that_lie_about_their_names(made, person):
    """The file of one object holds another: what is taken is named by what it holds."""
    made.agent.commit("agent's", **{"b.txt": "good\n"})
    good = made.agent.tip("HEAD:b.txt")
    evil = made.agent("hash-object", "-w", "--stdin", given="evil\n")
    objects = made.place.tree / ".git/objects"
    target = objects / good[:2] / good[2:]
    target.chmod(0o600)
    target.write_bytes((objects / evil[:2] / evil[2:]).read_bytes())
    before = person.tip("fix/login")

    with pytest.raises(GitFailed, match="cannot be taken"):
        made.fetch()

    assert person.tip("fix/login") == before
    assert person("fsck") == ""


@pytest.mark.parametrize("name", [".git", "..", ".GIT", "git~1"])
def test_trees_that_mean_harm_are_refused(made, person, name):
    """Checked out, they would write into the person's .git."""
    blob = made.agent("hash-object", "-w", "--stdin", given="evil\n")
    inner = made.agent("mktree", given=f"100644 blob {blob}\tconfig\n")
    raw = made.place.folder / "raw"
    raw.write_bytes(b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    tree = made.agent("hash-object", "-w", "-t", "tree", "--literally", str(raw))
    commit = made.agent("commit-tree", tree, "-p", "HEAD", "-m", "evil")
    made.agent("update-ref", "refs/heads/fix/login", commit)
    before = person.tip("fix/login")

    with pytest.raises(GitFailed, match="cannot be taken"):
        made.fetch()

    assert person.tip("fix/login") == before


@pytest.mark.parametrize("packed", [False, True])
def test_an_object_that_is_larger_than_the_machine(made, person, monkeypatch, packed):
    """A few hundred kilobytes that unpack to what would fill the memory."""
    monkeypatch.setattr(git, "MEMORY", 192 << 20)
    size = 256 << 20
    data = hashlib.sha1(head := b"tree %d\0" % size)
    for _ in range(256):
        data.update(bytes(1 << 20))
    tree = data.hexdigest()
    squeezed = zlib.compressobj(1)
    place = made.place.tree / ".git/objects" / tree[:2] / tree[2:]
    place.parent.mkdir(exist_ok=True)
    with place.open("wb") as file:
        file.write(squeezed.compress(head))
        for _ in range(256):
            file.write(squeezed.compress(bytes(1 << 20)))
        file.write(squeezed.flush())
    body = (
        f"tree {tree}\nparent {made.agent.tip('HEAD')}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n"
    )
    commit = made.agent("hash-object", "-w", "-t", "commit", "--literally", "--stdin", given=body)
    if packed:
        made.agent("pack-objects", "-q", ".git/objects/pack/pack", given=f"{commit}\n{tree}\n")
        place.unlink()
    (made.place.tree / ".git/refs/heads/fix").mkdir(exist_ok=True)
    (made.place.tree / ".git/refs/heads/fix/login").write_text(commit)
    before = person.tip("fix/login")

    with pytest.raises(GitFailed, match="cannot be taken") as refused:
        made.fetch()

    assert "emory" in refused.value.detail
    assert person.tip("fix/login") == before


def test_a_damaged_pack_and_a_history_with_holes(made, person):
    made.agent.commit("agent's", **{"b.txt": "b\n"})
    blob = made.agent.tip("HEAD:b.txt")
    (made.place.tree / ".git/objects" / blob[:2] / blob[2:]).unlink()
    (made.place.tree / ".git/objects/pack" / f"pack-{'1' * 40}.pack").write_bytes(b"PACK" + bytes(100))

    with pytest.raises(GitFailed, match="cannot be taken"):
        made.fetch()
    assert person("fsck") == ""


@pytest.mark.parametrize("way", ["link", "file", "commondir", "objects", "alternates"])
def test_a_repository_that_leads_to_another_one_is_refused(person, secret, home, way):
    """An earlier agent's doing, so that this one's worktree is of what it was never shown."""
    git, theirs = person.path / ".git", secret.path / ".git"
    if way == "link":
        shutil.rmtree(git)
        git.symlink_to(theirs)
    elif way == "file":
        shutil.rmtree(git)
        git.write_text(f"gitdir: {theirs}\n")
    elif way == "commondir":
        (git / "commondir").write_text(f"{theirs}\n")
    elif way == "objects":
        shutil.rmtree(git / "objects/pack")
        (git / "objects/pack").symlink_to(theirs / "objects/pack")
    else:
        (git / "objects/info/alternates").write_text(f"{theirs}/objects\n")

    with pytest.raises(UsageError):
        find_repository(home, person.path)


def test_names_of_branches_that_are_no_text(made):
    git = made.place.tree / ".git"
    made.agent.commit("new", **{"b.txt": "b\n"})
    tip = made.agent.tip("HEAD")
    for name in (b"latin-\xe9", b"\x1b]0;title\x07", "\u202ex".encode(), b"x" * 250):
        with open(os.fsencode(git) + b"/refs/heads/" + name, "w") as file:
            file.write(tip)
    (git / "HEAD").write_bytes(b"ref: refs/heads/\x1b]0;title\x07\n")

    shown = made.look().unmerged

    assert all(name.isprintable() and len(name) <= 200 for name in shown)
    assert {"latin-\\xe9", "\\x1b]0;title\\x07", "fix/login"} <= set(shown)
    assert made.fetch().elsewhere == "\\x1b]0;title\\x07"


def test_a_setting_does_not_say_which_repository_it_is(person, secret, home):
    """What its agent.yaml was allowed is kept by where a repository is."""
    person("config", "core.worktree", str(secret.path))

    assert find_repository(home, person.path).top == person.path


def test_the_small_formats():
    one, two = "1" * 40, "2" * 64
    packed = (
        f"# pack-refs with: peeled\n{one} refs/heads/a\n^{one}\nnonsense\n{two} refs/tags/\udcff\n{one} x\n"
    )
    assert parse_packed(packed.encode(errors="surrogateescape")) == {
        "refs/heads/a": one, "refs/tags/\udcff": two,
    }  # fmt: skip
    assert parse_head(b"ref: refs/heads/a/b\n") == "a/b"
    assert parse_head(f"{one}\n".encode()) == one
    assert parse_head(b"ref: ../../etc/passwd") == "../../etc/passwd"
    assert parse_head(b"") == parse_head(b"garbage") == ""
