"""Policies from evidence: what finished runs asked for, held against a policy that is being written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.config.agent_file import load_network_config
from engine.config.host import load_host_config
from engine.events import RequestRecord, RunInfo
from engine.grants import Provider, load_providers
from engine.home import Home
from engine.proxy import HostRule, Injection, Policy, ProxySpec, parse_private
from engine.proxy.replay import Change, changes
from engine.proxy.suggest import Suggestion, suggest
from engine.run.reading.tail import RequestTail

_NO_TOKEN = "-" * 32


class Replay(msgspec.Struct, frozen=True):
    """What would be decided otherwise for one run; `requests` were looked at."""

    run: str
    requests: int
    changes: tuple[Change, ...]


def suggest_policy(home: Home, run: RunInfo) -> Suggestion:
    """The strict policy that `run` would have needed, from its request log."""
    return suggest(_records(home, run.id))


def replay_policy(home: Home, file: Path, run: RunInfo) -> Replay:
    """Hold `run`'s requests against the `network:` of `file`, with the person's own rules and the grants
    that the run had. Raises ConfigError.
    """
    network = load_network_config(file)
    own = load_host_config(home).network
    known = load_providers(home).rows
    spec = ProxySpec(
        run_id=run.id,
        token=_NO_TOKEN,
        subnet="",
        mode=network.policy or "permissive",
        allow=network.allow,
        rules=network.rules,
        own_rules=own.rules,
        private=tuple(map(parse_private, own.allow_private)),
        passthrough=(*own.passthrough, *network.passthrough),
        injections=tuple(_without_value(known[name]) for name in run.providers if name in known),
    )
    records = list(_records(home, run.id))
    return Replay(run.id, len(records), changes(records, Policy.of(spec)))


def _records(home: Home, run_id: str) -> Iterator[RequestRecord]:
    tail = RequestTail(home, run_id)
    while records := tail.read():
        yield from records


def _without_value(item: Provider) -> Injection:
    """Where the grant's credential would go, without one."""
    rules = tuple(HostRule(pattern=r.pattern, ports=r.ports, header=r.header) for r in item.hosts)
    return Injection(item.name, rules, ("-",) * len(rules))
