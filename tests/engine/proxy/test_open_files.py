"""How many files the process of a run may have open."""

from __future__ import annotations

import resource

import pytest
from support.proxying import proxying
from support.upstream import Upstream

from engine.proxy.open_files import ENOUGH, allow_open_files
from engine.proxy.server import MAX_CONNECTIONS

HOST = "api.github.com"


@pytest.fixture
def limits(monkeypatch):
    """The process's, as the system would keep them."""
    held = {}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: held[kind])
    monkeypatch.setattr(resource, "setrlimit", held.__setitem__)
    return held


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 524288), (ENOUGH, 524288)),
        ((1024, 2048), (2048, 2048)),
        ((20000, 20000), (20000, 20000)),
        ((256, resource.RLIM_INFINITY), (ENOUGH, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)),
    ],
)
def test_as_many_as_a_run_may_need(limits, before, after):
    limits[resource.RLIMIT_NOFILE] = before
    allow_open_files()
    assert limits[resource.RLIMIT_NOFILE] == after


def test_each_connection_of_a_run_has_one_upstream():
    assert ENOUGH >= 2 * MAX_CONNECTIONS + 1024


async def test_a_proxy_has_them(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        async with Upstream([HOST], directory=tmp_path) as upstream, proxying(tmp_path, (HOST, upstream)):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(ENOUGH, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
