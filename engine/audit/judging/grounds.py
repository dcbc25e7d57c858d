"""What a verdict rests on, in words: a reader must see how much was vouched for, and by whom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.audit.judging.trust import RunTrust

if TYPE_CHECKING:
    from engine.audit.judging.judge import Case
    from engine.audit.judging.tree_judge import TreeJudge


def grounds(case: Case) -> tuple[str, ...]:
    count = case.chain.count
    lines = [f"the hash chain of {plural(count, 'entry', 'entries')}"]
    if case.tree is None:
        lines.append(_attested(case, count))
    else:
        lines += tree_grounds(case.tree, count)
    lines.append(anchored(case.anchor_count))
    return tuple(lines)


def tree_grounds(tree: TreeJudge, count: int) -> list[str]:
    checkpoints = plural(len(tree.checkpoints), "checkpoint", "checkpoints")
    lines = [f"the Merkle tree over them, sealed by {checkpoints} up to seq {tree.sealed}"]
    if tree.sealed < count:
        lines.append(f"nothing signed for seq {tree.sealed + 1} to {count} so far")
    trust = tree.trust
    if trust is None:
        return lines
    lines += key_grounds(trust)
    if tree.sealed_by_run < tree.sealed:
        lines.append(
            later_command(trust, tree.checkpoints[-1].seal.installation, tree.sealed_by_run, tree.sealed)
        )
    events, recorded = tree.events, tree.recorded
    if events.size:
        of = plural(events.size, "event", "events")
        lines.append(f"the installation's log of {of}: it has the run's {_told(events.close)}")
    if recorded is not None:
        lines.append(f"the installation's log on this machine: it has the run's {_told(recorded.closed)}")
    return lines


def _told(close: str) -> str:
    return "start and close" if close else "start"


def key_grounds(trust: RunTrust) -> list[str]:
    lines = [
        f"{plural(len(trust.run), 'key', 'keys')} of the run, the first certified at {trust.run[0].ts}"
        + (f" by the installation's key {trust.began_with}" if trust.installation else "")
    ]
    if trust.installation:
        first, newest = trust.installation[0], trust.installation[-1]
        later = f", and its {plural(newest.number, 'later key', 'later keys')}, the newest of {newest.ts}"
        lines.append(f"the key {first.public_key.hex()} of {first.origin}" + (later if newest.number else ""))
    return lines


def later_command(trust: RunTrust, key: int, by_run: int, sealed: int) -> str:
    """Of what the run's own keys did not seal: whoever had the installation's key may have made it up."""
    since = trust.installation[key].ts if key > 0 else ""
    return (
        f"seq 1 to {by_run} sealed by the run itself; seq {by_run + 1} to {sealed} by a later command,"
        f" with the installation's key {key}" + (f" of {since}" if since else "")
    )


def anchored(count: int) -> str:
    if not count:
        return "no anchor: nobody outside has confirmed when it was signed"
    return f"{plural(count, 'anchor', 'anchors')}, not verified here"


def plural(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _attested(case: Case, count: int) -> str:
    if not case.attestations:
        return "nothing signed so far; the log has no tree (version 1)"
    keys = ", ".join(dict.fromkeys(attestation.public_key.hex() for attestation in case.attestations))
    last = max(attestation.seq for attestation in case.attestations)
    return f"a signature over the chain up to seq {min(last, count)} by the key {keys}; no tree (version 1)"
