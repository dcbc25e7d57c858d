"""Damaged and forged bundles and proofs: their JSON, notes, certificates, the installation's part."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from support.audit_cases import FORGER, UNREADABLE, Cases, forged, long_log, old_site, sealed_log
from support.audit_forge import Log, Site, b64, certificate_text, checkpoint_text, closed, root

FORGERIES = Cases()
forgery = FORGERIES.add


def changed(name: str, verdict: str, at: int = 0) -> Callable[[Callable[[dict], object]], None]:
    """A sealed log's bundle, with one change made to the parsed document."""

    def keep(change: Callable[[dict[str, Any]], object]) -> None:
        def make() -> dict[str, Any]:
            bundle = sealed_log().bundle()
            change(bundle)
            return bundle

        FORGERIES.add(name, verdict, at)(make)

    return keep


def spelled(name: str, verdict: str, old: str, new: str, at: int = 0) -> None:
    """A sealed log's bundle, with its text changed."""

    def make() -> bytes:
        text = json.dumps(sealed_log().bundle())
        assert old in text
        return text.replace(old, new, 1).encode()

    FORGERIES.add(name, verdict, at)(make)


# JSON
spelled("a key twice, outside", UNREADABLE, '{"version": 1', '{"version": 1, "version": 1')
spelled("a key twice, in an entry", UNREADABLE, '"seq": 5,', '"seq": 5, "seq": 5,')
spelled("a key twice, in data", UNREADABLE, '{"line": "line 5"}', '{"line": "x", "line": "line 5"}')
spelled("a key twice, spelled in two ways", UNREADABLE, '{"line"', '{"l\\u0069ne": "x", "line"')
spelled("NaN", UNREADABLE, '"anchors": []', '"anchors": [], "x": NaN')
spelled("infinity", UNREADABLE, '"anchors": []', '"anchors": [], "x": -Infinity')
spelled("a float for a seq", UNREADABLE, '"seq": 5,', '"seq": 5.0,')
spelled("an exponent for a seq", UNREADABLE, '"seq": 5,', '"seq": 5e0,')
spelled("a text for a seq", UNREADABLE, '"seq": 5,', '"seq": "5",')
spelled("true for a seq", UNREADABLE, '"seq": 1,', '"seq": true,')
spelled("a huge number for a seq", UNREADABLE, '"seq": 5,', f'"seq": {10**400},')
spelled("a seq of 20 digits", UNREADABLE, '"seq": 5,', f'"seq": {10**19},')
spelled("a seq of 19 digits", "TAMPERED", '"seq": 5,', f'"seq": {10**19 - 1},', 5)
spelled("a seq of minus 19 digits", "TAMPERED", '"seq": 5,', f'"seq": -{10**19 - 1},', 5)
spelled("version 2^64", UNREADABLE, '"version": 1', f'"version": {2**64}')
spelled(
    "nested beyond all use", UNREADABLE, '"anchors": []', '"anchors": [], "x": ' + "[" * 5000 + "]" * 5000
)
spelled("nested just too deeply", UNREADABLE, '"anchors": []', '"anchors": [], "x": ' + "[" * 64 + "]" * 64)
spelled("a comma too many", UNREADABLE, '"anchors": []', '"anchors": [],')
spelled("a comment", UNREADABLE, '"anchors": []', '"anchors": [] /* x */')
spelled("a raw control character", UNREADABLE, '"line 5"', '"line\t5"')
spelled("null for entries' data", "TAMPERED", '{"line": "line 5"}', "null", 5)
spelled("a float in data", "TAMPERED", '{"line": "line 5"}', '{"line": 1.5}', 5)
spelled("2^53 + 1 in data", "TAMPERED", '{"line": "line 5"}', '{"line": 9007199254740993}', 5)
forgery("a byte order mark", UNREADABLE)(lambda: b"\xef\xbb\xbf" + sealed_log().json())
forgery("bytes that are no UTF-8", UNREADABLE)(lambda: sealed_log().json().replace(b"line 5", b"line \xff"))
forgery("UTF-16", UNREADABLE)(lambda: sealed_log().json().decode().encode("utf-16"))
forgery("something behind the document", UNREADABLE)(lambda: sealed_log().json() + b"{}")
forgery("nothing", UNREADABLE)(lambda: b"")
forgery("cut in the middle", UNREADABLE)(lambda: sealed_log().json()[:-200])


def hashed(name: str, data: str, value: object) -> None:
    """Version 1, hashed over a text that no entry can have: to another reader it may be another value."""

    def make() -> dict[str, Any]:
        log = Log(version=1).write(1, note=value)
        return log.attest(log.site.keys[0]).bundle()

    FORGERIES.add(f"version 1: hashed over {name}", "TAMPERED", 1)(make)
    assert data


hashed("a float", "1.5", 1.5)
hashed("2^53 + 1", "9007199254740993", 2**53 + 1)
hashed("a huge number", "1e400", 10**400)


def numbered(seq: int) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        bundle = sealed_log().bundle()
        bundle["entries"][4]["seq"] = seq
        return bundle

    return make


forgery("compact: a seq of 20 digits", UNREADABLE)(numbered(10**19))
forgery("compact: a seq of minus 20 digits", UNREADABLE)(numbered(-(10**19)))
forgery("compact: a seq of 19 digits", "TAMPERED", 5)(numbered(10**19 - 1))


# What a bundle says of itself
@changed("another last hash", "TAMPERED", 10)
def _(bundle: dict) -> None:
    bundle["last_hash"] = "0" * 64


@changed("the checkpoints taken away, not the rest", "TAMPERED")
def _(bundle: dict) -> None:
    del bundle["checkpoints"]


@changed("the tree taken away, not its name", "TAMPERED")
def _(bundle: dict) -> None:
    for name in ("tree", "checkpoints", "keys", "installation"):
        del bundle[name]


@changed("all checkpoints removed", "TAMPERED", 10)
def _(bundle: dict) -> None:
    bundle["checkpoints"].clear()


@forgery("a checkpoint removed that leaves too long a gap", "TAMPERED", 257)
def _() -> Log:
    log = long_log()
    del log.checkpoints[1]
    return log


@changed("the close record taken away", "TRUNCATED", 9)
def _(bundle: dict) -> None:
    bundle["checkpoints"].pop()
    bundle["attestations"].clear()


@changed("checkpoints out of order", "TAMPERED", 9)
def _(bundle: dict) -> None:
    bundle["checkpoints"][:2] = reversed(bundle["checkpoints"][:2])


@changed("a checkpoint twice", "TAMPERED", 5)
def _(bundle: dict) -> None:
    bundle["checkpoints"].insert(1, bundle["checkpoints"][0])


@forgery("an entry after the close record", "TAMPERED", 11)
def _() -> Log:
    return sealed_log().write(1)


@forgery("two close records", "TAMPERED", 9)
def _() -> Log:
    log = Log().begin().write(8)
    log.seal("closed exited")
    return log.write(2).close("stopped")


def closing(name: str, *lines: str) -> None:
    def make() -> Log:
        log = Log().begin().write(10)
        return log.seal(*lines).attest(log.keys[0])

    FORGERIES.add(f"closed {name}", "TAMPERED")(make)


closing("for no reason that there is", "closed vanished")
closing("for no reason", "closed ")
closing("for two reasons", "closed exited", "closed stopped")
closing("twice for one", "closed exited", "closed exited")


@forgery("a checkpoint of another run of the installation", "TAMPERED", 5)
def _() -> Log:
    site = Site()
    log, other = (
        Log(site=site).begin().write(4).seal(),
        Log(site=site, run="run_other").begin().write(8).seal(),
    )
    log.checkpoints += other.checkpoints
    return log.write(4)


# Signed notes
def note(name: str, change: Callable[[str, Log], str], at: int = 9) -> None:
    """The close record's note changed."""

    def make() -> Log:
        log = sealed_log()
        log.checkpoints[-1] = change(log.checkpoints[-1], log)
        return log

    FORGERIES.add(f"note: {name}", "TAMPERED", at)(make)


def respelled(text: str) -> str:
    """The same bytes in base64 with other bits where none count."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = len(text.rstrip("=")) - 1
    other = digits[digits.index(text[at]) ^ 1]
    assert base64.b64decode(text[:at] + other + text[at + 1 :]) == base64.b64decode(text)
    return text[:at] + other + text[at + 1 :]


note("another size", lambda text, log: text.replace("\n10\n", "\n11\n"))
note("a leading zero in the size", lambda text, log: text.replace("\n10\n", "\n010\n"))
note("a plus before the size", lambda text, log: text.replace("\n10\n", "\n+10\n"))
note("another reason", lambda text, log: text.replace("exited", "failed"))
note("no close", lambda text, log: text.replace("closed exited\n", ""))
note("a line more", lambda text, log: text.replace("exited\n", "exited\nand more\n"))
note("an empty line more", lambda text, log: text.replace("exited\n", "exited\n\n"))
note("a control character", lambda text, log: text.replace("exited", "exi\x1bted"))
note("a carriage return", lambda text, log: text.replace("exited\n", "exited\r\n"))
note("no signature", lambda text, log: text.split("\u2014")[0])
note("no line end", lambda text, log: text[:-1])
note("nothing", lambda text, log: "")
note("a lone surrogate", lambda text, log: text.replace("exited", "exited\ud800"))
note("the signature twice", lambda text, log: text + "\u2014" + text.split("\u2014")[1])
note("the signature in other base64", lambda text, log: text[:-89] + text[-89:].replace("=", "") + "\n")
note(
    "the root in a second spelling",
    lambda text, log: text.replace(text.split("\n")[2], respelled(text.split("\n")[2])),
)
note("a key id that is the run's over another's signature", lambda text, log: _pretended(log))
note("too many signatures", lambda text, log: text + FORGER.line("x", "unknown") * 100)
note("a hyphen for the dash", lambda text, log: text.replace("\u2014", "-"))


def _pretended(log: Log) -> str:
    text = log.statement("closed exited")
    return text + "\n" + FORGER.line(text, log.origin, log.keys[0].public)


# Certificates, and the installation's part
@changed("no certificate", "TAMPERED")
def _(bundle: dict) -> None:
    bundle["keys"].clear()


@forgery("certificates swapped", "TAMPERED")
def _() -> dict:
    bundle = long_log().bundle()
    bundle["keys"].reverse()
    return bundle


def certified(name: str, **changes: Any) -> None:
    """The second key of a run, certified otherwise."""

    def make() -> Log:
        log = long_log()
        said = {
            "origin": log.origin,
            "number": 1,
            "key": log.keys[1],
            "size": 768,
            "ts": "2026-01-12T11:00:00Z",
        }
        by = changes.get("by", log.keys[0])
        text = certificate_text(**{**said, **{k: v for k, v in changes.items() if k != "by"}})
        log.certificates[1] = by.note(text, log.origin)
        return log

    FORGERIES.add(f"certificate: {name}", "TAMPERED")(make)


certified("by another key", by=FORGER)
certified("of another log", origin="moat/0123456789abcdef/run_a1b2c3")
certified("with another number", number=2)
certified("without a time", ts="")
certified("with a time zone", ts="2026-01-12T11:00:00+01:00")
certified("with a line more", ts="2026-01-12T11:00:00Z\nmore")


@changed("another installation's key put in", "TAMPERED")
def _(bundle: dict) -> None:
    bundle["installation"]["key"] = b64(FORGER.public)


@forgery("an installation's certificate by somebody else", "TAMPERED")
def _() -> Log:
    site = old_site()
    text = certificate_text(site.origin, 1, site.keys[1], 0, "2026-01-11T00:00:00Z")
    site.certificates[0] = FORGER.note(text, site.origin)
    return closed(10, site, began="2026-01-12T09:00:00Z")


@forgery("a certificate of the installation left out", "TAMPERED")
def _() -> dict:
    bundle = closed(10, old_site(), began="2026-01-12T09:00:00Z").bundle()
    bundle["installation"]["keys"].pop()
    return bundle


@changed("the installation's checkpoint by somebody else", "TAMPERED", 11)
def _(bundle: dict) -> None:
    part = bundle["installation"]
    part["checkpoint"] = FORGER.note(part["checkpoint"].split("\n\n")[0] + "\n", Site().origin)


@changed("events without a checkpoint", "TAMPERED", 11)
def _(bundle: dict) -> None:
    del bundle["installation"]["checkpoint"]


@changed("an event changed", "TAMPERED", 11)
def _(bundle: dict) -> None:
    event = bundle["installation"]["events"][1]
    event["body"] = event["body"].replace("2026-01-13", "2026-01-14")


@changed("an event's proof cut", "TAMPERED", 11)
def _(bundle: dict) -> None:
    bundle["installation"]["events"][1]["proof"].pop()


@changed("the start left out", "TAMPERED", 11)
def _(bundle: dict) -> None:
    del bundle["installation"]["events"][0]


@changed("an event with a key twice", "TAMPERED", 11)
def _(bundle: dict) -> None:
    event = bundle["installation"]["events"][1]
    event["body"] = event["body"].replace('{"event"', '{"event":"head","event"')


@forgery("an event of another run", "TAMPERED", 11)
def _() -> Log:
    log = sealed_log()
    log.told.append(closed(3, log.site, run="run_other").told[0])
    return log


@forgery("another start than the certificate", "TAMPERED", 11)
def _() -> Log:
    log = sealed_log()
    again = Log(site=log.site).begin(name="again")
    log.told[0] = again.told[0]
    return log


@forgery("a head in the installation's log that is another's", "TAMPERED", 1)
def _() -> Log:
    log = sealed_log()
    other = log.keys[0].note(
        checkpoint_text(log.origin, 6, root(forged(sealed_log(), 2).leaves(6))), log.origin
    )
    log.told.append(log.site.event("head", "2026-01-12T10:00:30Z", run=log.run, note=other))
    return log


@forgery("a larger head in the installation's log", "TRUNCATED", 6)
def _() -> Log:
    log = Log().begin().write(5).seal()
    whole = Log(site=log.site).begin().write(9).seal()
    log.told.append(log.site.event("head", "2026-01-12T10:00:30Z", run=log.run, note=whole.checkpoints[0]))
    return log
