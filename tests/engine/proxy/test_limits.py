"""Whether a request is inside what its grant was given for."""

from __future__ import annotations

import pytest

from engine.config import Limits
from engine.grants import builtin_providers
from engine.proxy import HostRule, Injection
from engine.proxy.destination import Destination
from engine.proxy.limits import LimitKeeper, Outside

API, GIT = Destination("api.github.com", 443), Destination("github.com", 443)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def grant(*limits: Limits, scope: str = "") -> Injection:
    rules = (HostRule("api.github.com", "Authorization"), HostRule("github.com", "Authorization"))
    found = builtin_providers()["github"].scopes[scope] if scope else None
    return Injection("github", rules, ("x", "y"), scope_name=scope, scope=found, limits=limits)


def ask(
    keeper: LimitKeeper, request: str, place: Destination = API, *headers: tuple[bytes, bytes]
) -> Outside | None:
    method, _, path = request.partition(" ")
    return keeper.judge("github", place, method, path, headers)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /user", "HEAD /repos/me/x", "GET /repos/me/x/contents/a%2Fb?ref=main",
        "git GET /me/x.git/info/refs?service=git-upload-pack", "git POST /me/x.git/git-upload-pack",
        "git GET /me/x/archive/refs/heads/main.tar.gz",
    ],
)  # fmt: skip
def test_github_ro_reads(request_line: str) -> None:
    place = GIT if request_line.startswith("git ") else API
    assert ask(LimitKeeper([grant(scope="ro")]), request_line.removeprefix("git "), place) is None


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /repos/me/x/issues", "PATCH /user", "DELETE /repos/me/x", "PUT /x", "get /user",
        "POST /graphql",
        "POST /me/x.git/git-upload-pack",  # github.com's path, at the API
        "git GET /me/x.git/info/refs?service=git-receive-pack", "git GET /me/x.git/info/refs",
        "git GET /me/x.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        "git POST /me/x.git/git-receive-pack", "git POST /me/x.git/info/lfs/objects/batch",
        "git POST /me/x.git%2Fgit-receive-pack", "git POST /me/x.git/git-receive-pack;/git-upload-pack",
        "git GET /settings/tokens", "git OPTIONS *",
    ],
)  # fmt: skip
def test_github_ro_refuses_all_else_and_says_what_it_is(request_line: str) -> None:
    place = GIT if request_line.startswith("git ") else API
    outside = ask(LimitKeeper([grant(scope="ro")]), request_line.removeprefix("git "), place)
    assert outside is not None
    assert (outside.rule, outside.status) == ("grant-scope", 403)
    assert "github:ro" in outside.message
    assert "GraphQL" in outside.remedy


@pytest.mark.parametrize("path", ["/a/../b", "//a", "/a%2e/b", "/a\\b", "/a/%2e%2e/b", "/a%252fb"])
def test_threat_29_a_path_of_several_readings_is_judged_by_none(path: str) -> None:
    for injection in (grant(scope="ro"), grant(Limits(paths=("/a/**",)))):
        outside = ask(LimitKeeper([injection]), f"GET {path}")
        assert outside is not None
        assert (outside.rule, outside.status) == ("ambiguous", 400)
        assert path not in outside.message + outside.remedy


def test_methods_are_those_that_a_server_would_act_on() -> None:
    keeper = LimitKeeper([grant(Limits(methods=("GET", "POST")))])
    assert ask(keeper, "POST /x") is None
    outside = ask(keeper, "POST /x", API, (b"X-HTTP-Method-Override", b"delete"))
    assert outside is not None
    assert (outside.rule, "GET, POST" in outside.message) == ("grant-methods", True)
    assert ask(keeper, "PUT /x") is not None


def test_paths_hold_in_every_reading() -> None:
    keeper = LimitKeeper([grant(Limits(paths=("/repos/me/**", "/user")))])
    assert ask(keeper, "DELETE /repos/me/x") is None
    assert ask(keeper, "GET /user?x=/evil") is None
    for path in ("/repos/you/x", "/repos/me%2F..%2Fyou", "/user/x", "/repos/me;/../you", "/repos%2Fyou"):
        assert ask(keeper, f"GET {path}") is not None, path


def test_a_websocket_cannot_be_judged_so_narrow_grants_cover_none() -> None:
    upgrade = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
    outside = ask(LimitKeeper([grant(scope="ro")]), "GET /user", API, *upgrade)
    assert outside is not None
    assert outside.rule == "grant-upgrade"
    assert ask(LimitKeeper([grant(Limits(max_requests=1))]), "GET /user", API, *upgrade) is None


def test_the_number_of_requests_counts_those_let_through() -> None:
    keeper = LimitKeeper([grant(Limits(methods=("GET",), max_requests=2))])
    assert ask(keeper, "POST /x") is not None
    assert [ask(keeper, "GET /x") for _ in range(2)] == [None, None]
    outside = ask(keeper, "GET /x")
    assert outside is not None
    assert (outside.rule, "2 requests" in outside.message) == ("grant-max-requests", True)


def test_the_time_runs_from_the_start_of_the_run() -> None:
    clock = Clock()
    keeper = LimitKeeper([grant(Limits(expires_in="1h"))], clock)
    clock.now += 3599.9
    assert ask(keeper, "GET /x") is None
    clock.now += 0.2
    outside = ask(keeper, "GET /x")
    assert outside is not None
    assert (outside.rule, "1h" in outside.message) == ("grant-expired", True)


def test_the_providers_limits_and_the_runs_both_hold() -> None:
    keeper = LimitKeeper([grant(Limits(methods=("GET", "PUT")), Limits(methods=("GET",), max_requests=9))])
    assert ask(keeper, "GET /x") is None
    assert ask(keeper, "PUT /x") is not None


def test_a_grant_without_limits_and_other_grants_are_let_be() -> None:
    keeper = LimitKeeper([grant()])
    assert ask(keeper, "DELETE /a/../b") is None
    assert LimitKeeper([]).judge("openai", API, "PUT", "/x", ()) is None
