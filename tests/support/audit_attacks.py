"""Damaged and forged logs: entries, checkpoints, closing. Each with the verdict that is right."""

from __future__ import annotations

import json

from support.audit_cases import FORGER, Cases, forged, long_log, old_site, sealed_log
from support.audit_forge import Key, Log, Site, closed, sha256

ATTACKS = Cases()
attack = ATTACKS.add


def at_five(name: str, **changes: object) -> None:
    def make() -> Log:
        log = sealed_log()
        log.entries[4].update(changes)
        return log

    ATTACKS.add(f"seq 5: {name}", "TAMPERED", 5)(make)


at_five("data", data={"line": "nothing happened"})
at_five("a field more", data={"line": "line 5", "note": "x"})
at_five("a field less", data={})
at_five("time", ts="2026-01-12T10:00:06Z")
at_five("time in another form", ts="2026-01-12T10:00:05+00:00")
at_five("type", type="network")
at_five("type with NUL", type="console\0")
at_five("hash in upper case", hash="A" * 64)
at_five("no hash", hash="")
at_five("prev cut", prev="")
at_five("no object", data=["line 5"])
at_five("a lone surrogate", data={"line": "\ud800"})
at_five("a huge number", data={"line": 10**400})
at_five("2^53 + 1", data={"line": 2**53 + 1})
at_five("a float", data={"line": 0.5})
at_five("nested deeply", data={"line": json.loads("[" * 20 + "]" * 20)})


@attack("an entry removed", "TAMPERED", 5)
def _() -> Log:
    log = sealed_log()
    del log.entries[4]
    return log


@attack("the first entry removed", "TAMPERED", 1)
def _() -> Log:
    log = sealed_log()
    del log.entries[0]
    return log


@attack("an entry renumbered", "TAMPERED", 5)
def _() -> Log:
    log = sealed_log()
    log.entries[4]["seq"] = 50
    return log


@attack("two entries swapped", "TAMPERED", 5)
def _() -> dict:
    bundle = sealed_log().bundle()
    bundle["entries"][4:6] = reversed(bundle["entries"][4:6])
    return bundle


@attack("an entry twice", "TAMPERED", 5)
def _() -> dict:
    bundle = sealed_log().bundle()
    bundle["entries"].insert(5, bundle["entries"][4])
    return bundle


@attack("the order reversed", "TAMPERED", 1)
def _() -> dict:
    bundle = sealed_log().bundle()
    bundle["entries"].reverse()
    return bundle


@attack("an entry of another run spliced in", "TAMPERED", 5)
def _() -> Log:
    log, other = sealed_log(), closed(10, run="run_other")
    other.entries[3]["data"] = {"line": "other"}
    log.entries[4] = other.chain().entries[4]
    return log


@attack("an entry removed and the rest renumbered", "TAMPERED", 5)
def _() -> Log:
    log = sealed_log()
    del log.entries[4]
    for entry in log.entries[4:]:
        entry["seq"] -= 1
    return log


@attack("the chain hashed anew", "TAMPERED", 5)
def _() -> Log:
    return forged(sealed_log())


@attack("the chain hashed anew and attested with another key", "TAMPERED", 5)
def _() -> Log:
    return forged(sealed_log()).attest(FORGER)


@attack("the chain hashed anew and attested with the installation's key", "TAMPERED", 5)
def _() -> Log:
    log = forged(sealed_log())
    return log.attest(log.site.keys[0])


def resealed(log: Log, key: Key, name: str = "", *closing: str) -> Log:
    log.checkpoints = []
    for size in (4, 8):
        log.seal(by=key, name=name, size=size)
    return log.seal(*(closing or ("closed exited",)), by=key, name=name).attest(key)


@attack("hashed anew and sealed with another key in the run's name", "TAMPERED")
def _() -> Log:
    return resealed(forged(sealed_log()), FORGER)


@attack("hashed anew and sealed with another key that pretends to be the run's", "TAMPERED")
def _() -> Log:
    log = forged(sealed_log())
    text = log.statement("closed exited")
    log.checkpoints = [text + "\n" + FORGER.line(text, log.origin, log.keys[0].public)]
    return log


@attack("hashed anew, sealed and closed with the installation's key as if by the run", "TAMPERED", 9)
def _() -> Log:
    log = forged(sealed_log())
    return resealed(log, log.site.keys[0], log.site.origin)


@attack("sealed with the installation's key in the run's name", "TAMPERED")
def _() -> Log:
    log = forged(sealed_log())
    return resealed(log, log.site.keys[0])


@attack("sealed with the run's key in the installation's name", "TAMPERED")
def _() -> Log:
    log = sealed_log()
    return resealed(log, log.keys[0], log.site.origin)


@attack("all of it made by another installation", "UNANCHORED", own="TAMPERED")
def _() -> Log:
    return closed(10, Site("another"))


@attack("made by another installation in this one's name", "TAMPERED")
def _() -> Log:
    site = Site("another")
    site.origin = Site().origin
    return closed(10, site)


@attack("this installation's key over certificates of another's", "TAMPERED")
def _() -> Log:
    site = Site()
    site.keys[0] = FORGER
    log = closed(10, site)
    site.keys[0] = Key("site 0")
    return log


def interrupted_tail(found: int, own: int) -> Log:
    """The run sealed 256 entries; a forger with the installation's key rewrites what came after."""
    log = Log().begin().write(256).seal().write(found)
    by = {"by": log.site.keys[0], "name": log.site.origin}
    log.seal(**by).write(own)
    for size in range(256 + found + 256, len(log.entries), 256):
        log.seal(size=size, **by)
    log.seal("closed interrupted", **by).attest(log.site.keys[0])
    return log


@attack("a tail of 257 entries rewritten and closed as interrupted", "TAMPERED", 257)
def _() -> Log:
    return interrupted_tail(257, 1)


@attack("a tail of 257 entries as a later command's own", "TAMPERED", 257)
def _() -> Log:
    return interrupted_tail(1, 257)


@attack("a tail of 1,000 entries as a later command's own, sealed every 256", "TAMPERED", 257)
def _() -> Log:
    return interrupted_tail(256, 744)


@attack("the run's own checkpoint after a later command's", "TAMPERED", 6)
def _() -> Log:
    log = Log().begin().write(5)
    return log.seal(by=log.site.keys[0], name=log.site.origin).write(2).seal().write(1).close()


def reborn(day: str, signer: int) -> Log:
    """A forger with an installation's key makes a run of the 10th of January anew."""
    site = old_site()
    log = Log(site=site, began=day).begin(signer, "made up").write(10)
    for entry in log.entries:
        entry["ts"] = entry["ts"].replace("01-12", "01-10")
    return log.chain().seal().close()


@attack("an old run sealed again with today's key, dated then", "TAMPERED")
def _() -> Log:
    return reborn("2026-01-10T09:00:00Z", 2)


@attack("an old run sealed again with today's key, dated today", "TAMPERED", 1)
def _() -> Log:
    return reborn("2026-01-12T09:00:00Z", 2)


@attack("a run of today certified with a key of the day before", "TAMPERED")
def _() -> Log:
    return reborn("2026-01-12T09:00:00Z", 1)


@attack("closed as interrupted with a key from before the run", "TAMPERED", 6)
def _() -> Log:
    return Log(site=old_site(), began="2026-01-12T09:00:00Z").begin(2).write(5).seal().write(2).interrupt(0)


@attack("an old key of the run after a new one", "TAMPERED", 769)
def _() -> Log:
    log = long_log()
    log.checkpoints.pop()
    return log.seal("closed exited", by=log.keys[0])


@attack("the new key of the run before its time", "TAMPERED", 513)
def _() -> Log:
    log = long_log()
    log.checkpoints[2] = log.keys[1].note(log.statement(size=700), log.origin)
    return log


@attack("the tail cut off", "TRUNCATED", 8)
def _() -> Log:
    log = sealed_log()
    del log.entries[7:]
    return log


@attack("all entries removed", "TRUNCATED", 1)
def _() -> Log:
    log = sealed_log()
    log.entries.clear()
    return log


def cut_back(log: Log, checkpoints: int) -> Log:
    """Back to an earlier checkpoint, with all that was signed later taken away."""
    del log.checkpoints[checkpoints:]
    del log.entries[int(log.checkpoints[-1].split("\n")[1]) :]
    log.attestations.clear()
    return log


@attack("cut back to a checkpoint, but the installation's log has its close", "TRUNCATED", 9)
def _() -> Log:
    return cut_back(sealed_log(), 2)


@attack("cut back, and known to be finished", "TRUNCATED", 9, finished=True)
def _() -> Log:
    log = cut_back(sealed_log(), 2)
    log.told.pop()
    return log


@attack("cut back behind the making of a key that is still there", "TRUNCATED", 513)
def _() -> Log:
    log = cut_back(long_log(), 2)
    log.told.pop()
    return log


@attack("CVE-2023-31438: cut back and continued", "TRUNCATED", 8)
def _() -> Log:
    return cut_back(sealed_log(), 1).write(3, line="instead")


@attack(
    "cut back and continued without a seal, the installation's close kept quiet", "UNANCHORED", own="OPEN"
)
def _() -> Log:
    log = cut_back(sealed_log(), 1).write(3, line="instead")
    log.told.pop()
    return log


@attack("the same of a run that is known to be finished", "TRUNCATED", 8, finished=True)
def _() -> Log:
    log = cut_back(sealed_log(), 1).write(3, line="instead")
    log.told.pop()
    return log


@attack("cut back, continued and sealed with another key", "TAMPERED", 5)
def _() -> Log:
    return cut_back(sealed_log(), 1).write(3, line="instead").seal("closed exited", by=FORGER).attest(FORGER)


@attack("CVE-2023-31439: an entry changed and the heads written anew in the notes", "TAMPERED")
def _() -> Log:
    log = forged(sealed_log(), 2)
    for at, size in enumerate((4, 8, 10)):
        old, new = log.checkpoints[at], log.statement(size=size)
        log.checkpoints[at] = old.replace(old.split("\n")[2], new.split("\n")[2])
    return log


@attack("another run's log under this run's name", "TAMPERED")
def _() -> Log:
    log = sealed_log()
    log.run = "run_other"
    return log


@attack("the certificate of another run", "TAMPERED")
def _() -> Log:
    site = Site()
    log, other = closed(10, site), closed(10, site, run="run_other")
    log.certificates = other.certificates
    return log


@attack("a seed that is another", "TAMPERED", 1)
def _() -> Log:
    log = sealed_log()
    log.seed = sha256(b"another")
    return log


@attack("time goes backwards", "TAMPERED", 3)
def _() -> Log:
    log = Log().begin().write(5)
    log.entries[2]["ts"] = "2026-01-12T10:00:01.9Z"
    return log.chain().close()


@attack("entries from before the run's key", "TAMPERED", 1)
def _() -> Log:
    return closed(10, began="2026-01-12T10:00:05Z")


@attack("a tail longer than may stay without a seal", "TAMPERED", 257, own="TAMPERED")
def _() -> Log:
    return Log().begin().write(256).seal().write(257)
