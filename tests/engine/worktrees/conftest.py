"""A person's repository, a home, and a worktree of a branch of it."""

from __future__ import annotations

import os

import pytest
from support.git_repository import Agents, Repository

from engine.home import Home
from engine.worktrees.fetching import fetch
from engine.worktrees.making import make
from engine.worktrees.place import Place
from engine.worktrees.repository import find_repository
from engine.worktrees.state import look


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def person(tmp_path):
    return Repository(tmp_path / "project")


class Made:
    def __init__(self, home, person, branch):
        self.home = home
        self.person = person
        self.branch = branch
        self.said = []
        self.repository = find_repository(home, person.path)
        self.place = Place.of(home, self.repository, branch)
        lock = self.place.lock()
        try:
            self.worktree = make(home, self.repository, branch, self.place, self.said.append)
        finally:
            os.close(lock)
        self.agent = Agents(self.place.tree)

    def fetch(self):
        return fetch(self.home, self.place, "run otter")

    def look(self):
        return look(self.place)


@pytest.fixture
def make_worktree(home, person):
    return lambda branch="fix/login", of=person: Made(home, of, branch)


@pytest.fixture
def made(make_worktree):
    return make_worktree()
