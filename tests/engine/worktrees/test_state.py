"""What would be lost with a worktree is counted, so that nothing is removed silently."""

from __future__ import annotations

import os
import shutil

import pytest

from engine.worktrees.git import Git
from engine.worktrees.state import remove


def test_a_new_one_is_clean(made):
    state = made.look()
    assert (state.clean, state.branch, state.changes, state.unmerged) == (True, "fix/login", 0, ())


def test_changes_and_ignored_files(made):
    (made.place.tree / "a.txt").write_text("changed\n")
    (made.place.tree / "new").mkdir()
    (made.place.tree / "new/file").write_text("x")
    (made.place.tree / "x.o").write_text("x")
    (made.place.tree / ".gitignore").unlink()
    (made.place.tree / ".gitignore").write_text("*.o\n")

    state = made.look()

    assert (state.clean, state.changes, state.ignored) == (False, 2, 1)


def test_the_agents_own_settings_hide_nothing(made):
    (made.place.tree / "file").write_text("x")
    (made.place.tree / "a.txt").write_text("changed")
    (made.place.tree / ".git/info").mkdir(exist_ok=True)
    (made.place.tree / ".git/info/exclude").write_text("*\n")
    made.agent("update-index", "--assume-unchanged", "a.txt")

    assert made.look().changes == 2


def test_a_change_shows_although_its_time_was_set_back(made):
    made.look()
    path = made.place.tree / "a.txt"
    then = path.stat()
    path.write_text("two\n")
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))

    assert made.look().changes == 1


def test_commits_branches_and_stashes_that_nobody_else_has(made, person):
    made.agent("branch", "aside")
    made.agent.commit("new", **{"b.txt": "b\n"})
    assert made.look().unmerged == ("fix/login",)
    assert "moat worktree fetch" in made.look().problem
    made.fetch()
    assert made.look().clean, "a branch that holds nothing new is no reason"
    made.agent("switch", "-q", "aside")
    made.agent.commit("newer", **{"c.txt": "c\n"})
    made.agent("switch", "-q", "fix/login")
    (made.place.tree / "a.txt").write_text("stashed\n")
    made.agent("stash", "-q")
    made.agent("pack-refs", "--all")
    state = made.look()
    assert (state.unmerged, state.clean) == (("aside", "stash"), False)


def test_a_branch_that_the_person_deleted_has_commits_nobody_else_has(made, person):
    made.agent.commit("new", **{"b.txt": "b\n"})
    made.fetch()
    person("branch", "-q", "-D", "fix/login")

    assert made.look().unmerged == ("fix/login",)


def test_a_submodule_that_holds_something(person, make_worktree, tmp_path):
    person("update-index", "--add", "--cacheinfo", f"160000,{person.tip('HEAD')},sub")
    person("commit", "-q", "-m", "sub")
    made = make_worktree()
    assert made.look().clean
    (made.place.tree / "sub").mkdir(exist_ok=True)
    (made.place.tree / "sub/work").write_text("x")

    assert made.look().changes == 1


@pytest.mark.parametrize("lost", ["repository", "git"])
def test_what_cannot_be_found_out_is_a_problem(made, person, lost):
    shutil.rmtree(person.path if lost == "repository" else made.place.tree / ".git")

    assert made.look().problem
    assert not made.look().clean


def test_a_folder_that_cannot_be_opened_is_not_taken_for_empty(made, monkeypatch):
    (made.place.tree / "closed").mkdir()
    (made.place.tree / "closed/work").write_text("x")
    run = Git.run

    def warned(self, *words, **more):
        done = run(self, *words, **more)
        if words[0] == "status":  # root can open everything; this is what git says to anybody else
            done.stdout = b""
            done.stderr = b"warning: could not open directory 'closed/': Permission denied\n"
        return done

    monkeypatch.setattr(Git, "run", warned)

    assert "could not open directory" in made.look().problem
    assert not made.look().clean


def test_removing_takes_the_folder_whatever_the_agent_made_of_it(made, home, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("x")
    (made.place.tree / "out").symlink_to(tmp_path / "outside")
    deep = made.place.tree
    for _ in range(30):
        deep = deep / ("x" * 100)
        deep.mkdir()
    (made.place.tree / "closed").mkdir()
    (made.place.tree / "closed/file").write_text("x")
    (made.place.tree / "closed").chmod(0)

    remove(home, made.place)

    assert list(home.worktrees.iterdir()) == []
    assert (tmp_path / "outside/file").exists()
