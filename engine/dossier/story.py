"""What a run's log and request log add up to. Pure; bounded, however long the run was.

The logs are in somebody's hands before they come here: fields of any kind are taken for what they say.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from engine.events import RequestRecord

KINDS = ("policy", "credential", "secret", "ssh", "container", "exec")  # of entries that a story is made of

MOST_HOSTS = 200  # rows
MOST_ROWS = 200
MOST_REQUESTS = 300
_MOST_KEYS = 20_000  # groups that are told apart while reading; an agent may make up any number
OTHERS = "(others)"


class Group:
    """Things that are alike: how many there were, the first and the last."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""
        self.last = ""
        self.example = ""
        self.seq = 0
        self.counts: dict[str, Counter[str]] = {}

    def add(self, ts: str, example: str = "", seq: int = 0, **what: str) -> None:
        self.count += 1
        self.first = self.first or ts
        self.last = ts
        self.example = self.example or example
        self.seq = self.seq or seq
        for name, value in what.items():
            if value:
                counter = self.counts.setdefault(name, Counter())
                if value in counter or len(counter) < 50:
                    counter[value] += 1

    def said(self, name: str, most: int = 6) -> str:
        """`200 (31), 404 (2)`, the most frequent first."""
        counter = self.counts.get(name, Counter())
        parts = [f"{value} ({number:,})" for value, number in counter.most_common(most)]
        return ", ".join([*parts, "…"] if len(counter) > most else parts)


class Groups:
    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], Group] = {}

    def __getitem__(self, key: tuple[str, ...]) -> Group:
        if key not in self._groups and len(self._groups) >= _MOST_KEYS:
            key = (OTHERS,) * len(key)
        return self._groups.setdefault(key, Group())

    def __len__(self) -> int:
        return len(self._groups)

    def by_count(self) -> list[tuple[tuple[str, ...], Group]]:
        return sorted(self._groups.items(), key=lambda item: (-item[1].count, item[0]))

    def in_order(self) -> Iterable[tuple[tuple[str, ...], Group]]:
        return self._groups.items()


class Host:
    """The requests to one host."""

    def __init__(self) -> None:
        self.group = Group()
        self.denied = 0
        self.failed = 0
        self.bytes_in = 0
        self.bytes_out = 0


class Story:
    """Tell it every entry of KINDS and every request, in order; then read its parts."""

    def __init__(self) -> None:
        self.given = ""  # the first entry's words
        self.hosts: dict[str, Host] = {}
        self.requests = 0
        self.first_requests: list[RequestRecord] = []
        self.last_requests: deque[RequestRecord] = deque(maxlen=MOST_REQUESTS // 2)
        self.uses = Groups()  # (grant, action, host)
        self.approved = Groups()  # (operation, rule)
        self.denied = Groups()  # (operation, rule)
        self.passed = Groups()  # not intercepted: (operation, rule)
        self.alarms = Groups()  # (what, message)
        self.secrets: list[tuple[str, str]] = []
        self.ssh = Groups()  # (action, host, fingerprint)
        self.life: list[tuple[int, str, str, str]] = []  # seq, ts, action, reason
        self.commands = Groups()  # (command, exit code)
        self.reports = Groups()  # (who, operation, decision)
        self.workspace = ""  # the binding entry's reason
        self.workspace_seq = 0

    def request(self, record: RequestRecord) -> None:
        self.requests += 1
        name = record.host or "(no host)"
        if name not in self.hosts and len(self.hosts) >= _MOST_KEYS:
            name = OTHERS
        host = self.hosts.setdefault(name, Host())
        status = str(record.status_code) if record.status_code else ""
        host.group.add(record.ts, method=record.method, status=status, grant=record.grant, rule=record.rule)
        host.denied += record.decision == "denied"
        host.failed += bool(record.error) and record.decision != "denied"
        host.bytes_in += record.bytes_in
        host.bytes_out += record.bytes_out
        if len(self.first_requests) < MOST_REQUESTS // 2:
            self.first_requests.append(record)
        else:
            self.last_requests.append(record)

    def entry(self, seq: int, ts: str, kind: str, data: Mapping[str, Any]) -> None:
        text = {name: value if isinstance(value, str) else repr(value) for name, value in data.items()}
        match kind:
            case "policy":
                self._policy(seq, ts, text)
            case "credential":
                name, action, host = (text.get(key, "") for key in ("name", "action", "host"))
                self.uses[name, action, host].add(ts, seq=seq)
                if action == "inject-replaced":
                    what = (
                        f"the agent sent a credential of its own to {host}; it was replaced by that of {name}"
                    )
                    self.alarms["foreign credential", what].add(ts, seq=seq)
            case "secret":
                if len(self.secrets) < MOST_ROWS:
                    self.secrets.append((text.get("name", ""), text.get("backend", "")))
            case "ssh":
                key = (text.get("action", ""), text.get("host", ""), text.get("fingerprint", ""))
                self.ssh[key].add(ts, text.get("error", ""), seq)
            case "container":
                self._container(seq, ts, text.get("action", ""), text.get("reason", ""))
            case "exec":
                command = data.get("command")
                words = " ".join(map(str, command)) if isinstance(command, list) else repr(command)
                self.commands[words, text.get("exit_code", "")].add(ts, seq=seq)
            case _:
                pass

    def _policy(self, seq: int, ts: str, text: Mapping[str, str]) -> None:
        scope, operation, decision, rule, message = (
            text.get(name, "") for name in ("scope", "operation", "decision", "rule", "message")
        )
        if scope == "report":
            self.reports[rule, operation, decision].add(ts, message, seq)
        elif scope == "run":
            self.given = self.given or message
        elif scope in ("exec", "terminal"):
            self.commands[message or f"{scope} {operation}", ""].add(ts, seq=seq)
        elif decision in ("freeze", "scrub") or "ALARM" in message:
            what = {"freeze": "decoy leaving", "scrub": "credential came back"}.get(decision, "refused")
            self.alarms[what, message].add(ts, operation, seq)
        elif decision == "allow":
            groups = self.approved if rule.startswith("approval") else self.passed
            groups[operation, rule].add(ts, message, seq)
        if decision.startswith("den") and scope != "report":
            self.denied[operation, rule].add(ts, message, seq)

    def _container(self, seq: int, ts: str, action: str, reason: str) -> None:
        if action == "workspace":
            self.workspace, self.workspace_seq = reason, seq
        elif len(self.life) < MOST_ROWS:
            self.life.append((seq, ts, action, reason))
