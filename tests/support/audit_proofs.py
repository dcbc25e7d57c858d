"""Forged proofs of single entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.audit_cases import FORGER, UNREADABLE, Cases, sealed_log
from support.audit_forge import Log, b64, closed, consistency, inclusion, sha256

PROOFS = Cases()


def proof(name: str, verdict: str = "TAMPERED", at: int = 5, **more: Any) -> Callable[[Callable], None]:
    """Of seq 5 and 7, with one change made to the document."""

    def keep(change: Callable[[dict[str, Any]], object]) -> None:
        def make() -> dict[str, Any]:
            made = sealed_log().proof(5, 7)
            change(made)
            return made

        PROOFS.add(f"proof: {name}", verdict, at, **more)(make)

    return keep


def line(made: dict[str, Any]) -> dict[str, Any]:
    return made["entries"][0]["data"]["line"]


proof("a value changed")(lambda made: line(made).update(value="nothing happened"))
proof("a salt changed")(lambda made: line(made).update(salt="0" * 32))
proof("a salt cut")(lambda made: line(made).update(salt=line(made)["salt"][:-2]))
proof("a salt in upper case")(lambda made: line(made).update(salt=line(made)["salt"].upper()[:31] + "A"))
proof("a float for a value")(lambda made: line(made).update(value=1.5))
proof("2^53 + 1 for a value")(lambda made: line(made).update(value=2**53 + 1))
proof("shown and kept back")(lambda made: line(made).update(commitment="0" * 64))
proof("neither shown nor kept back")(lambda made: line(made).clear())
proof("kept back under another commitment")(
    lambda made: made["entries"][0]["data"].update(line={"commitment": "0" * 64})
)
proof("a field more")(lambda made: made["entries"][0]["data"].update(more={"commitment": "0" * 64}))
proof("a field less")(lambda made: made["entries"][0]["data"].clear())
proof("another time")(lambda made: made["entries"][0].update(ts="2026-01-12T10:00:06Z"))
proof("another type")(lambda made: made["entries"][0].update(type="network"))
proof("another seq", at=6)(lambda made: made["entries"][0].update(seq=6))
proof("seq 0", at=0)(lambda made: made["entries"][0].update(seq=0))
proof("a seq beyond the tree", at=99)(lambda made: made["entries"][1].update(seq=99))
proof("a path cut")(lambda made: made["entries"][0]["proof"].pop())
proof("a path too long")(lambda made: made["entries"][0]["proof"].append(b64(bytes(32))))
proof("a path changed")(lambda made: made["entries"][0]["proof"].__setitem__(0, b64(bytes(32))))
proof("no base64 in a path")(lambda made: made["entries"][0]["proof"].__setitem__(0, "not base64"))
proof("a path for another size")(
    lambda made: made["entries"][0].update(proof=inclusion(sealed_log().leaves(8), 4))
)
proof("entries out of order", at=7)(lambda made: made["entries"].append(made["entries"].pop(0)))
proof("an entry twice")(lambda made: made["entries"].insert(0, made["entries"][0]))
proof("no entries", at=0)(lambda made: made["entries"].clear())
proof("the checkpoint of another log", at=0)(
    lambda made: made.update(checkpoint=closed(10, run="run_other").checkpoints[-1])
)
proof("a checkpoint by another key", at=0)(
    lambda made: made.update(checkpoint=FORGER.note(sealed_log().statement("closed exited"), made["origin"]))
)
proof("another origin", at=0)(lambda made: made.update(origin=made["origin"] + "x"))
proof("no certificates", at=0)(lambda made: made["keys"].clear())
proof("of a log that went on, known to be finished", "TRUNCATED", 9, finished=True)(
    lambda made: made.update(_open_proof())
)
proof("without the installation", UNREADABLE, 0)(lambda made: made.pop("installation"))
proof("of another version", UNREADABLE, 0)(lambda made: made.update(moat_proof=2))
proof("a text for a path", UNREADABLE, 0)(lambda made: made["entries"][0].update(proof="AAAA"))
proof("data that is no object", UNREADABLE, 0)(lambda made: made["entries"][0].update(data=[]))


def _open_proof() -> dict[str, Any]:
    log = Log().begin().write(8).seal()
    log.told = log.told[:1]
    return log.proof(5)


def interrupted() -> Log:
    return Log().begin().write(300).seal(size=256).seal().write(20).interrupt()


def later(name: str, at: int = 0) -> Callable[[Callable[[dict, Log], object]], None]:
    def keep(change: Callable[[dict[str, Any], Log], object]) -> None:
        def make() -> dict[str, Any]:
            log = interrupted()
            made = log.proof(310)
            change(made, log)
            return made

        PROOFS.add(f"proof of an interrupted run: {name}", "TAMPERED", at)(make)

    return keep


@later("without the run's own checkpoint, though too long for that")
def _(made: dict, log: Log) -> None:
    log.write(300)
    key = log.site.keys[0]
    made["checkpoint"] = key.note(log.statement("closed interrupted"), log.site.origin)
    made["installation"] = log.site.part(log.told[0])
    del made["run_checkpoint"], made["consistency"]


@later("with a path between the checkpoints that leads nowhere")
def _(made: dict, log: Log) -> None:
    made["consistency"][0] = b64(sha256(b"x"))


@later("with the later command's checkpoint as the run's own")
def _(made: dict, log: Log) -> None:
    made["run_checkpoint"] = log.checkpoints[-2]
    made["consistency"] = consistency(log.leaves(), 320)
