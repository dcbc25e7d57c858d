"""Whether what was signed about a version 2 log holds for the entries that are there. Pure.

Made from the evidence before the entries are read, because it knows the sizes whose heads are wanted;
asked afterwards, with those heads. The rules are FORMAT.md's, "Checkpoints", "Keys" and "Verdicts".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.audit.chain import Attestation
from engine.audit.judging.evidence import Installation, Recorded, TreeEvidence
from engine.audit.judging.installation_judge import RunEvents, judge_events
from engine.audit.judging.sealed import Sealed, read_sealed
from engine.audit.judging.trust import BadKeys, RunTrust, trust_run
from engine.audit.judging.verdict import TAMPERED, TRUNCATED, Failure
from engine.audit.leaf import SEED_BYTES
from engine.audit.merkle import Frontier
from engine.audit.strict_json import strict_json

SEALED_EVERY = 256  # entries between two checkpoints, at most
OWN_ENTRIES = 256  # that a later command adds to the log of a killed run, at most


class TreeJudge:
    """failure: what is wrong whatever the entries are. trust: the keys, None when they lead nowhere.

    checkpoints: the log's, by size, those before the first that is wrong. seed: b"" when it is none.
    """

    def __init__(
        self, tree: TreeEvidence, installation: Installation | None, recorded: Recorded | None = None
    ) -> None:
        self.tree = tree
        self.failure: Failure | None = None
        self.trust: RunTrust | None = None
        self.checkpoints: list[Sealed] = []
        self.events = RunEvents()
        self.seed = b""
        self.recorded = recorded
        try:
            if tree.missing:
                raise BadKeys(
                    f"only a part of what makes the tree is there: {', '.join(tree.missing)} missing"
                )
            self.seed = _seed(tree.seed)
            self.trust = trust_run(tree.origin, tree.certificates, installation)
            for note in tree.checkpoints:
                self.checkpoints.append(self._next(read_sealed(note, self.trust)))
            if installation is not None:
                self.events = judge_events(tree, self.trust, installation)
        except BadKeys as error:
            # What was sealed before still says from where on nothing is known.
            self.failure = Failure(str(error), at=self.sealed + 1 if self.checkpoints else 0)

    @property
    def since(self) -> str:
        """When the run's first key was certified: no entry is older. "" when that is not known."""
        return self.trust.run[0].ts if self.trust is not None else ""

    @property
    def watch(self) -> frozenset[int]:
        """The sizes whose heads `faults` wants."""
        recorded = {self.recorded.size} if self.recorded is not None else set()
        return frozenset(sealed.size for sealed in (*self.checkpoints, *self.events.heads)) | recorded

    @property
    def sealed(self) -> int:
        """Entries that the checkpoints cover."""
        return self.checkpoints[-1].size if self.checkpoints else 0

    @property
    def sealed_by_run(self) -> int:
        """Entries that the run itself sealed."""
        return max((found.size for found in self.checkpoints if found.seal.run >= 0), default=0)

    @property
    def closed(self) -> str:
        """The reason in the close record; "" without one."""
        return self.checkpoints[-1].said.closed if self.checkpoints else ""

    def fault(self, count: int, roots: Mapping[int, bytes], frontier: Frontier) -> Failure | None:
        """The first; that the log was changed comes before that it was cut short.

        count: entries that are good by themselves; roots: the heads at `watch`, as far as there are
        entries; frontier: that of all entries, to compare with the one that audit.db keeps.
        """
        if self.failure is not None:
            return self.failure
        short: Failure | None = None
        for found in (
            *self._among_themselves(count),
            *self._against_entries(count, roots),
            *self._against_installation(count, roots),
            *self._certified(count),
        ):
            if found.kind == TAMPERED:
                return found
            short = short or found
        kept = self.tree.frontier
        if short is None and kept is not None and (count or kept) and not _is_frontier(kept, frontier):
            return Failure("the stored frontier is not that of the entries", at=count)
        return short

    def attestation_fault(self, attestations: Iterable[Attestation], count: int) -> Failure | None:
        """Those whose signature holds: whether by a key that sealed the log, at a size where it did."""
        sealing = {found.size: found.seal.public_key for found in self.checkpoints}
        for attestation in attestations:
            seq = attestation.seq
            if sealing.get(seq) not in (attestation.public_key, b""):
                return Failure(
                    f"invalid signature on attestation at seq {seq}: not by the key that sealed the log",
                    at=min(seq, count + 1),
                    found=attestation.public_key.hex(),
                )
        return None

    def _next(self, found: Sealed) -> Sealed:
        if self.checkpoints and found.size <= self.sealed:
            raise BadKeys(f"the checkpoint at size {found.size} is out of order")
        return found

    def _among_themselves(self, count: int) -> Iterator[Failure]:
        before, by_run, first_later = 0, 0, None
        for number, found in enumerate(self.checkpoints):
            size = found.size
            if size - before > SEALED_EVERY:
                yield _unsealed(before, size)
            if found.said.closed and (number + 1 < len(self.checkpoints) or count > size):
                yield Failure("the log goes on after its close record", at=size + 1)
            if found.seal.run >= 0:
                by_run = size
                if first_later is not None:
                    yield Failure(
                        "the run's own key sealed the log after a later command had", at=first_later + 1
                    )
            else:
                first_later = size if first_later is None else first_later
                if first_later - by_run > SEALED_EVERY or size - first_later > OWN_ENTRIES:
                    yield Failure(
                        f"seq {by_run + 1} to {size} are sealed by a later command, more than one can add",
                        at=by_run + 1,
                    )
            before = size
        if count - before > SEALED_EVERY:
            yield _unsealed(before, count)

    def _against_entries(self, count: int, roots: Mapping[int, bytes]) -> Iterator[Failure]:
        good = 0
        for found in self.checkpoints:
            what = f"the checkpoint at size {found.size}"
            yield from _compare(what, found.size, found.said.root, count, roots, good)
            good = found.size

    def _against_installation(self, count: int, roots: Mapping[int, bytes]) -> Iterator[Failure]:
        whole = "the checkpoint at size {} in the installation's log"
        for found in self.events.heads:
            yield from _compare(whole.format(found.size), found.size, found.said.root, count, roots, 0)
        recorded = self.recorded
        if recorded is not None:
            if recorded.start != self.tree.certificates[0]:
                yield Failure("the installation's log has another certificate of the run's key 0")
            yield from _compare(
                whole.format(recorded.size), recorded.size, recorded.root, count, roots, 0, known=True
            )
        for close in (self.events.close, recorded.closed if recorded is not None else ""):
            if close and (not self.checkpoints or close != self.checkpoints[-1].note):
                yield Failure(
                    "the installation's log has a close record that the log has not",
                    at=self.sealed + 1,
                    kind=TAMPERED if self.closed else TRUNCATED,
                )

    def _certified(self, count: int) -> Iterator[Failure]:
        for certificate in self.trust.run if self.trust is not None else ():
            if certificate.size > count:
                yield Failure(
                    f"the run's key {certificate.number} was made at size {certificate.size},"
                    f" but the log ends at seq {count}",
                    at=count + 1,
                    kind=TRUNCATED,
                )


def _compare(
    what: str,
    size: int,
    root: bytes,
    count: int,
    roots: Mapping[int, bytes],
    good: int,
    *,
    known: bool = False,
) -> Iterator[Failure]:
    """good: entries that are known to be what was signed. known: a head without its signature."""
    if size > count:
        yield Failure(
            f"{what} says that there was more: the log ends at seq {count}", at=count + 1, kind=TRUNCATED
        )
    elif roots[size] != root and not (known and not size):
        yield Failure(
            f"{what} was made over another log: changed from seq {good + 1} on, or later",
            at=good + 1,
            expected=root.hex(),
            found=roots[size].hex(),
        )


def _unsealed(before: int, size: int) -> Failure:
    return Failure(f"no checkpoint lies between seq {before} and seq {size}", at=before + 1)


def _is_frontier(text: str, frontier: Frontier) -> bool:
    try:
        found = strict_json(text)
    except ValueError:
        return False
    return bool(found == {"size": frontier.size, "roots": [root.hex() for root in frontier.roots]})


def _seed(text: str) -> bytes:
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES or seed.hex() != text:
        raise BadKeys("the seed of the log's tree is none")
    return seed
