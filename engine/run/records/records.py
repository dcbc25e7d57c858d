"""The supervisor's own hand on the run's files: the only writer of logs, requests, usage and audit.

It is the proxy's Recorder: what the proxy is about to do is made durable here before it does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.audit import AuditLog, EntryData, console, credential, network, policy, ssh
from engine.errors import AuditGateClosed, HomeError
from engine.events import GrantUse, LogLine, RequestRecord, timestamp
from engine.home import Home
from engine.proxy.mask import Masker
from engine.run.reading.tail import LOGS, NETWORK
from engine.run.records.jsonl import LineFile
from engine.run.records.open_file import OpenFile
from engine.run.records.output import MAX_LINE, LineSplitter
from engine.ssh_agent import PREFIX

if TYPE_CHECKING:
    from engine.ssh_agent import SshEvent

USAGE = "usage.json"

_FLOOD = 64  # lines in one read of at most 64 KiB


class RunRecords:
    """Open for one run's life. `secrets` are masked in every line before it is written anywhere."""

    def __init__(
        self,
        home: Home,
        run_id: str,
        audit: AuditLog,
        secrets: tuple[str, ...],
        notice: Callable[[str], None],
        profile: str = "",
    ) -> None:
        self._home = home
        self._directory = home.run(run_id)
        self._audit = audit
        self._notice = notice
        self._logs = LineFile(home, self._directory / LOGS)
        self._network = LineFile(home, self._directory / NETWORK)
        self._open = OpenFile(home, run_id)
        self._profile = profile
        self._secrets = secrets
        self._refused: set[str] = set()  # grants whose refusal was said
        self.masker = masker = Masker(secrets)
        self._splitters = {
            stream: LineSplitter(masker.mask, masker.longest) for stream in ("stdout", "stderr")
        }
        self._usage: dict[str, GrantUse] = {}
        self._usage_timer: asyncio.TimerHandle | None = None
        self._gate_said = False

    # The proxy's Recorder

    async def credential(self, grant: str, action: str, host: str) -> None:
        """Durable on return; raises AuditGateClosed, and then the proxy sends nothing."""
        await self.commit(credential(grant, action, host))
        self._used(grant)

    def learn(self, values: tuple[str, ...]) -> None:
        """Mask these too from now on: a temporary credential, before the agent can have it."""
        self.masker.learn(values)
        for splitter in self._splitters.values():
            splitter.hold = self.masker.longest

    def _used(self, grant: str) -> None:
        used = self._usage.get(grant, GrantUse("", 0))
        self._usage[grant] = msgspec.structs.replace(used, last_used_at=timestamp(), uses=used.uses + 1)
        self._usage_changed()

    def _usage_changed(self) -> None:
        if self._usage_timer is None:
            self._usage_timer = asyncio.get_running_loop().call_later(1.0, self._write_usage)

    async def ssh(self, event: SshEvent) -> None:
        """Durable on return; raises AuditGateClosed, and then nothing is listed or signed."""
        await self.commit(
            ssh(event.action, host=event.host, fingerprint=event.fingerprint, error=event.error)
        )
        from engine.ssh_agent import SIGN_ALLOWED

        if event.action == SIGN_ALLOWED:
            self._used(PREFIX + event.host)

    async def approved(self, host: str, operation: str, rule: str, message: str) -> None:
        """Durable on return; raises AuditGateClosed, and then the proxy sends nothing."""
        await self.commit(policy("network", operation, "allow", rule=rule, message=f"{host}: {message}"))

    async def alarm(self, host: str, operation: str, rule: str, message: str) -> None:
        """Durable on return; raises AuditGateClosed, and the run's network is frozen all the same."""
        await self.commit(policy("network", operation, "freeze", rule=rule, message=f"{host}: {message}"))

    async def denied(self, host: str, operation: str, rule: str, message: str) -> None:
        await self.note(policy("network", operation, "deny", rule=rule, message=f"{host}: {message}"))

    def open(self, requests: Sequence[RequestRecord]) -> None:
        self._open.write(requests)

    async def scrubbed(self, host: str, operation: str, message: str) -> None:
        await self.note(policy("network", operation, "scrub", rule="echoed", message=f"{host}: {message}"))

    async def passed(self, host: str, operation: str, rule: str) -> None:
        await self.note(policy("network", operation, "allow", rule=rule, message=f"{host}: not intercepted"))

    async def finished(self, record: RequestRecord) -> None:
        self._network.append(record)
        if record.grant:
            self._answered(record)
        await self.note(network_entry(record))

    def _answered(self, record: RequestRecord) -> None:
        """What the service made of a grant's credential; that it refused one is said once."""
        grant, used = record.grant, self._usage.get(record.grant)
        if used is None:
            return
        if record.refused:
            self._usage[grant] = msgspec.structs.replace(used, refused_at=timestamp())
            self._usage_changed()
            if grant not in self._refused:
                self._refused.add(grant)
                flag = f" --profile {self._profile}" if self._profile else ""
                self._notice(
                    f"{record.host} refused the credential of grant {grant} ({record.status_code}); "
                    f"replace it: moat grant {grant}{flag}"
                )
        elif used.refused_at and 200 <= record.status_code < 300:
            self._taken(grant)

    def _taken(self, grant: str) -> None:
        self._refused.discard(grant)
        used = self._usage.get(grant)
        if used is not None and used.refused_at:
            self._usage[grant] = msgspec.structs.replace(used, refused_at="")
            self._usage_changed()

    async def renewed(self, grant: str, secrets: tuple[str, ...]) -> None:
        """Another credential is used for `grant` from now on; the old one is still masked."""
        self._secrets = tuple(dict.fromkeys((*secrets, *self._secrets)))
        learnt = self.masker.learnt
        self.masker = masker = Masker(self._secrets)
        for lot in learnt:
            masker.learn(lot)
        for splitter in self._splitters.values():
            splitter.hide(masker.mask, masker.longest)
        self._taken(grant)
        await self.note(credential(grant, "renew", ""))

    # The agent's output

    async def output(self, stream: str, data: bytes) -> None:
        await self._lines(stream, self._splitters[stream].feed(data))

    async def close(self) -> None:
        """Write what is still held back. The audit log is closed by whoever opened it."""
        for stream, splitter in self._splitters.items():
            await self._lines(stream, splitter.finish())
        if self._usage_timer is not None:
            self._usage_timer.cancel()
            self._write_usage()
        self._open.close()
        for file, name in ((self._logs, LOGS), (self._network, NETWORK)):
            file.close()
            if file.dropped:
                self._notice(f"{file.dropped} lines of {name} could not be written: {file.problem}")

    async def _lines(self, stream: str, lines: list[str]) -> None:
        if not lines:
            return
        now = timestamp()
        self._logs.append(*(LogLine(ts=now, line=line, stream=stream) for line in lines))
        for text in _entries(lines):
            await self.note(console(text))

    async def commit(self, entry: EntryData) -> None:
        """Durable on return; raises AuditGateClosed, and then what it records may not happen."""
        try:
            await self._audit.append(entry)
        except AuditGateClosed as error:
            self._say_gate(error)
            raise

    async def note(self, entry: EntryData) -> None:
        """Accepted in order, durable soon. A closed gate is said once; the gate itself stops credentials."""
        try:
            await self._audit.note(entry)
        except AuditGateClosed as error:
            self._say_gate(error)

    def _say_gate(self, error: AuditGateClosed) -> None:
        if not self._gate_said:
            self._gate_said = True
            self._notice(f"{error.what}; no credential is used from now on. {error.detail}".rstrip())

    def _write_usage(self) -> None:
        self._usage_timer = None
        try:
            self._home.write(self._directory / USAGE, msgspec.json.encode(self._usage))
        except HomeError as error:
            self._notice(f"the last use of grants could not be written: {error.what}")


def network_entry(record: RequestRecord) -> EntryData:
    return network(
        record.method,
        record.url,
        record.status_code,
        record.duration_ms,
        credential_used=record.grant,
        error=record.error,
    )


def _entries(lines: list[str]) -> list[str]:
    """One audit entry a line; but a flood, which would cost the log more than it proves, shares entries.

    Nothing is left out: lines that came in one read are joined by their line ends, up to MAX_LINE.
    """
    if len(lines) <= _FLOOD:
        return lines
    texts: list[str] = []
    together: list[str] = []
    size = 0
    for line in lines:
        if together and size + len(line) > MAX_LINE:
            texts.append("\n".join(together))
            together, size = [], 0
        together.append(line)
        size += len(line) + 1
    return [*texts, "\n".join(together)]
