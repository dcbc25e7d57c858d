"""What each grant of a run is narrowed to, and whether a request is inside. Pure but for an injected clock.

What is outside is denied, not sent without the credential: a client that goes on unauthenticated would act
on half the truth. Method and path are judged in every reading that a server could make of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import msgspec

from engine.config.grant_limits import ScopeRule
from engine.proxy.decision import Headers
from engine.proxy.destination import Destination, HostPattern
from engine.proxy.inject import wants_upgrade
from engine.proxy.paths import AmbiguousPath, PathPattern, Reading, readings
from engine.proxy.rules import overrides
from engine.proxy.spec import Injection


def since_boot() -> float:
    """Seconds that also pass while the machine sleeps, so that an hour is an hour."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Outside(msgspec.Struct, frozen=True):
    """rule: a short name that is stable in logs; message, remedy: for a person. Quotes no path."""

    rule: str
    message: str
    remedy: str
    status: int = 403


class LimitKeeper:
    """One per run; the time of `expires_in` runs from here. `uses`: requests let through, by grant."""

    def __init__(self, injections: Iterable[Injection], clock: Callable[[], float] = since_boot) -> None:
        self._kept = {each.grant: _Kept(each) for each in injections if each.scope or each.limits}
        self._clock = clock
        self._began = clock()
        self.uses: dict[str, int] = {}

    def judge(
        self, grant: str, destination: Destination, method: str, path: str, headers: Headers
    ) -> Outside | None:
        """Why this request may not go with the grant's credential; None when it may, and then it counts."""
        kept = self._kept.get(grant)
        if kept is None:
            return None
        outside = kept.expired(self._clock() - self._began) or kept.outside(
            destination, method, path, headers
        )
        if outside is None:
            used = self.uses.get(grant, 0)
            outside = kept.used_up(used)
            if outside is None:
                self.uses[grant] = used + 1
        return outside


class _Kept:
    """One grant's limits, ready to be asked."""

    def __init__(self, injection: Injection) -> None:
        self._title = injection.title
        self._about = injection.scope.about if injection.scope else ""
        self._limits = [(limit, [PathPattern(path) for path in limit.paths]) for limit in injection.limits]
        allow = injection.scope.allow if injection.scope else ()
        self._rules = [(rule, HostPattern.parse(rule.host), _patterns(rule)) for rule in allow]
        self._judges_requests = bool(self._rules) or any(
            limit.methods or limit.paths for limit, _ in self._limits
        )

    def expired(self, elapsed: float) -> Outside | None:
        for limit, _ in self._limits:
            if limit.seconds and elapsed >= limit.seconds:
                return Outside(
                    "grant-expired",
                    f"The grant {self._title} was given for {limit.expires_in} (expires_in), which are over.",
                    "Start another run, or give the grant for longer.",
                )
        return None

    def used_up(self, used: int) -> Outside | None:
        for limit, _ in self._limits:
            if limit.max_requests and used >= limit.max_requests:
                number = "1 request" if limit.max_requests == 1 else f"{limit.max_requests} requests"
                return Outside(
                    "grant-max-requests",
                    f"The grant {self._title} was given for {number} (max_requests), and has had them.",
                    "Start another run, or give the grant for more requests.",
                )
        return None

    def outside(self, destination: Destination, method: str, path: str, headers: Headers) -> Outside | None:
        if not self._judges_requests:
            return None
        if wants_upgrade(list(headers)):
            return self._narrow("grant-upgrade", "covers no WebSocket, whose messages nobody could judge")
        methods = [method, *overrides(headers)]
        for limit, _ in self._limits:
            if limit.methods and not all(each in limit.methods for each in methods):
                said = ", ".join(limit.methods)
                return self._narrow("grant-methods", f"is limited to the methods {said}")
        try:
            seen = readings(path)
        except AmbiguousPath as error:
            return Outside(
                "ambiguous",
                f"The request's path holds {error}, which servers read differently, so the limits of the "
                f"grant {self._title} cannot judge it.",
                "Send the plain form of the URL: no `..`, `//`, backslashes or needless escapes.",
                400,
            )
        for limit, patterns in self._limits:
            if patterns and not all(any(p.matches(reading) for p in patterns) for reading in seen):
                return self._narrow("grant-paths", f"is limited to the paths {', '.join(limit.paths)}")
        if self._rules and not all(
            self._in_scope(destination, each, reading, path.partition("?")[2])
            for each in methods
            for reading in seen
        ):
            what = f"does not cover this {method[:20]} request to {destination.host}"
            return self._narrow("grant-scope", what, self._about)
        return None

    def _in_scope(self, destination: Destination, method: str, reading: Reading, query: str) -> bool:
        return any(
            method in rule.methods
            and host.matches_host(destination)
            and (not rule.query or rule.query == query)
            and any(pattern.matches(reading) for pattern in patterns)
            for rule, host, patterns in self._rules
        )

    def _narrow(self, rule: str, what: str, about: str = "") -> Outside:
        remedy = f"{about} If the request is meant, a person can give this grant more widely.".strip()
        return Outside(rule, f"The grant {self._title} of this run {what}.", remedy)


def _patterns(rule: ScopeRule) -> list[PathPattern]:
    return [PathPattern(path) for path in rule.paths]
