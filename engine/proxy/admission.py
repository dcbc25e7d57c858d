"""The way of one request up to the point where it may leave: authenticate, decide, record, inject.

No mitmproxy in here: whatever reads a request off the wire asks this. The order is the promise: the
audit intent is durable before the credential is in any header list that could be sent.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Iterator

import msgspec

from engine.errors import MoatError
from engine.proxy.answers import APPROVAL_NOT_RECORDED, NOT_RECORDED, Answer, denial, failure
from engine.proxy.approvals import Question
from engine.proxy.decision import Decision, GrantRule, RequestHead
from engine.proxy.decoys import Decoys
from engine.proxy.destination import Destination
from engine.proxy.exchange import Exchange
from engine.proxy.freeze import RULE as FROZEN
from engine.proxy.freeze import Freeze
from engine.proxy.holding import Holding
from engine.proxy.inject import HeaderList, forwardable, inject, strip_placeholders, wants_upgrade
from engine.proxy.limits import LimitKeeper
from engine.proxy.mask import REDACTED, Masker
from engine.proxy.needles import Needles
from engine.proxy.open_requests import OpenRequests
from engine.proxy.placeholders import decode_basic
from engine.proxy.policy import Policy, decide
from engine.proxy.recorder import FETCH, INJECT, INJECT_REPLACED, Recorder
from engine.proxy.redact import Redactor
from engine.proxy.scrub import Lexicon
from engine.proxy.scrub_response import ResponseScrubber, asked, watchable
from engine.proxy.served import NO_TOKEN, OWN_NAME, Served, Whereabouts, given, not_given, token_shown
from engine.proxy.spec import Injection, ProxySpec

_NOT_IN_TRAILERS = {
    "host", "content-length", "transfer-encoding", "content-encoding", "trailer", "expect", "authorization",
    "cookie",
}  # fmt: skip
RECORD_TIMEOUT = 10.0  # seconds for the audit log to make an entry durable


class Admission:
    """One per run. `unrecorded` counts entries that the recorder refused (other than intents, which gate)."""

    def __init__(self, spec: ProxySpec, recorder: Recorder, holding: Holding | None = None) -> None:
        self._holding = holding or Holding(0)
        self._credentials = f"moat:{spec.token}".encode("ascii")
        self._token = spec.token
        self._served = {served: Whereabouts(served) for served in spec.served}
        self._recorder = recorder
        self._open = OpenRequests(recorder)
        self._limits = LimitKeeper(spec.injections)
        self._decoys = Decoys(spec.decoys) if spec.decoys else None
        self.freeze = Freeze()
        self._take(spec)
        self.unrecorded = 0

    def _take(self, spec: ProxySpec) -> None:
        """Everything that follows from the credentials, all at once."""
        self.policy = Policy.of(spec)
        self._spec = spec
        self._injections = {injection.grant: injection for injection in spec.injections}
        self._placeholders = frozenset(p for injection in spec.injections for p in injection.placeholders)
        rules = [rule for injection in spec.injections for rule in injection.rules]
        self._header_names = frozenset(rule.header.lower() for rule in rules)
        self.redactor = Redactor(Masker(_values(spec)), self._header_names)
        needles = Needles(_injected(spec))
        self._lexicon = Lexicon(needles) if needles else None

    def renew(self, injection: Injection) -> None:
        """Use another credential for a grant of the run from the next request on. The old one stays among
        what is blotted out. Raises ProxyError or UsageError, and then nothing has changed.
        """
        old = self._injections[injection.grant]
        known = (*injection.secrets, *old.secrets, *(value.rpartition(" ")[2] for value in old.values))
        new = msgspec.structs.replace(injection, secrets=tuple(dict.fromkeys(known)))
        injections = tuple(new if each is old else each for each in self._spec.injections)
        spec = msgspec.structs.replace(self._spec, injections=injections)
        spec.check()
        learnt = self.redactor.masker.learnt
        self._take(spec)
        for lot in learnt:
            self.redactor.learn(lot)

    def authenticated(self, values: list[str]) -> bool:
        """Whether the one Proxy-Authorization value is `Basic moat:<token>`; compared in constant time."""
        scheme, _, payload = values[0].strip().partition(" ") if len(values) == 1 else ("", "", "")
        sent = decode_basic(payload.strip().encode("latin-1")) if scheme.lower() == "basic" else ""
        return hmac.compare_digest(sent.encode("latin-1"), self._credentials)

    async def admit(self, head: RequestHead, exchange: Exchange) -> HeaderList | Answer:
        """The header fields to send, complete but for framing; or what to answer instead of sending."""
        self._open.add(exchange)
        if self._decoys is not None:
            self._search(self._decoys, head, exchange)
            if self.freeze:
                return await self.frozen(exchange, head.connect)
        for served in self._served:
            if served.wanted(head):
                return await self._serve(served, head, exchange)
        decision = decide(head, self.policy)
        for whereabouts in self._served.values():
            decision = whereabouts.astray(head, decision) or decision
        if decision.ask:
            held = await self._hold(head, decision, exchange)
            if isinstance(held, Answer):
                exchange.sent(head.headers)
                return held
            decision = held
        decision = self._within_limits(decision, head)
        exchange.decision = decision
        if not decision.allowed:
            await self.refused(exchange, decision)
            exchange.sent(head.headers)
            return denial(decision)
        assert decision.destination is not None
        exchange.rule = decision.rule
        upgrade = head.authority is None and wants_upgrade(list(head.headers))
        fields = forwardable(list(head.headers), upgrade=upgrade)
        fields = [(name, value) for name, value in fields if name.lower() != b"host"]
        if decision.grant is not None:
            attached = await self._attach(decision.grant, decision, fields, exchange)
            if isinstance(attached, Answer):
                exchange.sent(fields)
                return attached
            fields = attached
        if head.authority is None:
            authority = decision.destination.authority(443 if head.tls else 80)
            fields.insert(0, (b"Host", authority.encode("ascii")))
        exchange.upgrade = upgrade
        if self._decoys is not None:
            if self.freeze:  # while a person was asked, or the intent was written down
                return await self.frozen(exchange, decision.destination)
            fields = watchable(fields)
            exchange.watch = self._decoys.watch(
                fields, lambda decoy: self.freeze.begin(decoy, exchange), lambda: bool(self.freeze)
            )
        exchange.sent(fields)
        return fields

    def _search(self, decoys: Decoys, head: RequestHead, exchange: Exchange) -> None:
        """Freeze the run's network if this holds a decoy. A host that is one is not written down."""
        if self.freeze:
            return
        if decoy := decoys.in_head(head):
            exchange.host = head.connect.host if head.connect else ""
            exchange.sent(head.headers)
        elif decoy := decoys.in_hosts(head):
            exchange.host = exchange.url = REDACTED
        if decoy:
            self.freeze.begin(decoy, exchange)

    def ends_at(self, host: str) -> bool:
        """Whether a tunnel to `host` is one that `frozen_at` refuses."""
        return self._decoys is not None and (bool(self.freeze) or bool(self._decoys.in_host(host)))

    async def frozen_at(self, host: str, exchange: Exchange) -> Answer | None:
        """The refusal of a tunnel, or of a TLS client that names `host`, once the network is frozen; a host
        that is a decoy freezes it.
        """
        self._search_host(host, exchange)
        return await self.frozen(exchange) if self.freeze else None

    def name_asked(self, name: str) -> None:
        """The run's name server was asked for it. It goes nowhere, but one that is a decoy says enough."""
        self._search_host(name, Exchange(self.redactor, "DNS", REDACTED, REDACTED))

    def _search_host(self, host: str, exchange: Exchange) -> None:
        if self._decoys is None or self.freeze or not (decoy := self._decoys.in_host(host)):
            return
        exchange.host = exchange.url = REDACTED
        exchange.sent(())
        self.freeze.begin(decoy, exchange)

    async def frozen(self, exchange: Exchange, destination: Destination | None = None) -> Answer:
        """What is answered once the network is frozen; nobody is, before the alarm was written."""
        await self.freeze.told.wait()
        decision = self.freeze.decision(destination)
        if exchange is not self.freeze.exchange:
            await self.refused(exchange, decision)
        return denial(decision)

    async def alarm(self) -> None:
        """Audit that the network was frozen. It is frozen whether or not that can be written."""
        exchange = self.freeze.exchange
        assert exchange is not None
        exchange.denied = exchange.audited = True
        exchange.rule = FROZEN
        message = f"ALARM: the decoy {self.freeze.decoy} was about to leave; the run's network is frozen."
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.alarm(exchange.host, exchange.operation(), FROZEN, message)
        except Exception:
            self.unrecorded += 1
        finally:
            self.freeze.told.set()

    async def _hold(self, head: RequestHead, decision: Decision, exchange: Exchange) -> Decision | Answer:
        """Wait for a person's answer, and write it down before it counts. Nothing was connected, resolved
        or read of the body by now; when the client goes, this is cancelled.
        """
        destination = decision.destination
        assert destination is not None
        method, shown = exchange.shown(head.path)
        question = Question(destination.host, destination.port, method, head.path, head.tls, shown)
        exchange.held, exchange.host = True, destination.host
        try:
            settled = await self._holding.settle(question)
        except asyncio.CancelledError:
            exchange.withdraw()
            raise
        finally:
            exchange.held = False
        if not settled.allowed:
            return msgspec.structs.replace(
                decision, rule=settled.rule, message=settled.message, remedy=settled.remedy
            )
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.approved(
                    destination.host, exchange.operation(), settled.rule, settled.message
                )
        except (MoatError, TimeoutError, OSError) as error:
            exchange.error = f"the approval could not be recorded: {type(error).__name__}"
            status, name, message, remedy = APPROVAL_NOT_RECORDED
            return failure(status, name, destination.host, message, remedy)
        return Decision(True, destination, rule=settled.rule)

    def _within_limits(self, decision: Decision, head: RequestHead) -> Decision:
        """Deny what the grant was not given for. What it was given for counts from here on."""
        if not decision.allowed or decision.grant is None or decision.destination is None:
            return decision
        place = decision.destination
        outside = self._limits.judge(decision.grant.grant, place, head.method, head.path, head.headers)
        if outside is None:
            return decision
        rule, message, remedy = outside.rule, outside.message, outside.remedy
        return Decision(False, place, status=outside.status, rule=rule, message=message, remedy=remedy)

    async def _attach(
        self, rule: GrantRule, decision: Decision, fields: HeaderList, exchange: Exchange
    ) -> HeaderList | Answer:
        assert decision.destination is not None
        host = decision.destination.host
        injection = self._injections[rule.grant]
        exchange.credential_chosen(self.redactor)
        header, value = injection.rules[rule.index].header, injection.values[rule.index]
        injected = inject(fields, header, value, self._placeholders)
        action = INJECT_REPLACED if injected.replaced_foreign else INJECT
        if (unrecorded := await self._intent(rule.grant, action, host, exchange)) is not None:
            return unrecorded
        others = self._header_names - {rule.header}
        fields = strip_placeholders(injected.headers, others, self._placeholders)
        if self._lexicon is None:
            return fields
        exchange.scrubber = ResponseScrubber(self._lexicon)
        return asked(fields)

    async def _serve(self, served: Served, head: RequestHead, exchange: Exchange) -> Answer:
        exchange.host, exchange.url = OWN_NAME, f"http://{OWN_NAME}{served.path}"
        exchange.sent(head.headers)
        if not token_shown(head, self._token):
            await self.refused(exchange, NO_TOKEN)
            return denial(NO_TOKEN)
        try:
            what = await served.give()
        except MoatError as error:
            return not_given(error, served.grant)
        self.redactor.learn(what.secrets)
        self._served[served].learn(what)
        unrecorded = await self._intent(served.grant, FETCH, what.host, exchange)
        return unrecorded or given(what)

    async def _intent(self, grant: str, action: str, host: str, exchange: Exchange) -> Answer | None:
        """Make the audit entry durable; what to answer when it cannot be."""
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.credential(grant, action, host)
        except (MoatError, TimeoutError, OSError) as error:
            exchange.error = f"the credential was withheld: {type(error).__name__}"
            status, name, message, remedy = NOT_RECORDED
            return failure(status, name, host, message, remedy)
        exchange.grant = grant
        return None

    def without_credentials(self, trailers: HeaderList) -> HeaderList:
        """Trailer fields that may follow: none that would be a second credential, end at a proxy, or say
        again where the message ends or goes (RFC 9110 §6.5.1).
        """
        return [
            (name, value)
            for name, value in forwardable(trailers)
            if name.lower().decode("latin-1") not in self._header_names | _NOT_IN_TRAILERS
        ]

    async def refused(self, exchange: Exchange, decision: Decision) -> None:
        """Audit a denial. It is denied whether or not that can be written."""
        exchange.denied = True
        exchange.rule = decision.rule
        if decision.destination is not None:
            exchange.host = exchange.host or decision.destination.host
        await self._denied(exchange, f"ALARM: {decision.message}" if decision.alarm else decision.message)

    async def passed(self, exchange: Exchange, rule: str) -> None:
        """A tunnel begins whose inside is not seen."""
        self._open.add(exchange)
        exchange.rule = rule
        exchange.status = 200
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.passed(exchange.host, exchange.operation(), rule)
        except Exception:
            self.unrecorded += 1

    async def finished(self, exchange: Exchange) -> None:
        """Hand the record over, once; a denial that came late (where a name leads) is audited here."""
        if exchange.finished:
            return
        exchange.finished = True
        self._open.remove(exchange)
        if exchange.denied and not exchange.audited:
            await self._denied(exchange, exchange.reason)
        if exchange.scrubber is not None and exchange.scrubber.hits:
            await self._scrubbed(exchange, exchange.scrubber.hits)
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.finished(exchange.record())
        except Exception:
            self.unrecorded += 1

    async def _scrubbed(self, exchange: Exchange, hits: Counter[str]) -> None:
        grants = ", ".join(sorted(hits))
        often = "once" if hits.total() == 1 else f"{hits.total()} times"
        message = f"ALARM: the credential of grant {grants} came back {often} and was replaced."
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.scrubbed(exchange.host, exchange.operation(), message)
        except Exception:
            self.unrecorded += 1

    async def _denied(self, exchange: Exchange, message: str) -> None:
        exchange.audited = True
        try:
            async with asyncio.timeout(RECORD_TIMEOUT):
                await self._recorder.denied(exchange.host, exchange.operation(), exchange.rule, message)
        except Exception:
            self.unrecorded += 1


def _injected(spec: ProxySpec) -> Iterator[tuple[str, str]]:
    """What may come back in a response: each grant's raw secrets, and what its headers say after a scheme."""
    for injection in spec.injections:
        for value in (*injection.secrets, *(value.rpartition(" ")[2] for value in injection.values)):
            yield injection.grant, value


def _values(spec: ProxySpec) -> list[str]:
    """Everything that must not be seen: raw secrets, rendered values, and their parts after a scheme."""
    values = [spec.token, *spec.hidden]
    for injection in spec.injections:
        values += injection.secrets
        for value in injection.values:
            values += [value, value.rpartition(" ")[2]]
    return values
