"""Logs, bundles and proofs made straight from engine/audit/FORMAT.md, with nothing of the engine's code.

So it is a second witness of the format, and it makes what the engine refuses to make: whatever a forger
with the files, with a key found on disk, or with a key of their own could write. Everything is a plain,
changeable list; `bundle` and `database` write what is there at that moment, right or wrong.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TS = "2026-01-12T10:{:02}:{:02}Z"
DAY = "2026-01-{:02}T00:00:00Z"


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def sha256(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def canonical(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


class Key:
    def __init__(self, name: str) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()))
        self.public = self.private.public_key().public_bytes_raw()

    def line(self, text: str, name: str, public: bytes = b"") -> str:
        """A signature line; public: another key's, to pretend to be."""
        key_id = sha256(name.encode() + b"\n\x01" + (public or self.public))[:4]
        return f"\u2014 {name} {b64(key_id + self.private.sign(text.encode()))}\n"

    def note(self, text: str, name: str) -> str:
        return text + "\n" + self.line(text, name)


def root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it is defined."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:]))


def inclusion(leaves: list[bytes], index: int) -> list[str]:
    if len(leaves) < 2:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*inclusion(leaves[:split], index), b64(root(leaves[split:]))]
    return [*inclusion(leaves[split:], index - split), b64(root(leaves[:split]))]


def consistency(leaves: list[bytes], old: int, whole: bool = True) -> list[str]:
    if old == len(leaves):
        return [] if whole else [b64(root(leaves))]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old <= split:
        return [*consistency(leaves[:split], old, whole), b64(root(leaves[split:]))]
    return [*consistency(leaves[split:], old - split, False), b64(root(leaves[:split]))]


def checkpoint_text(origin: str, size: int, head: bytes, *extensions: str) -> str:
    return "".join(line + "\n" for line in (origin, str(size), b64(head), *extensions))


def certificate_text(origin: str, number: int, key: Key, size: int, ts: str) -> str:
    return f"{origin}\nkey {number}\n{b64(key.public)}\nfrom {size}\n{ts}\n"


class Site:
    """An installation: its keys (the last one is on disk), its log's events."""

    def __init__(self, name: str = "site") -> None:
        self.name = name
        self.keys = [Key(f"{name} 0")]
        self.days = [""]
        self.certificates: list[str] = []
        self.events: list[str] = []
        self.origin = f"moat/{sha256(self.keys[0].public).hex()[:16]}"

    @property
    def pin(self) -> bytes:
        return self.keys[0].public

    def rotate(self, ts: str) -> None:
        number = len(self.keys)
        key = Key(f"{self.name} {number}")
        text = certificate_text(self.origin, number, key, len(self.events), ts)
        note = self.keys[-1].note(text, self.origin)
        self.certificates.append(note)
        self.keys.append(key)
        self.days.append(ts)
        self.event("key", ts, note=note)

    def event(self, event: str, ts: str, **more: str) -> int:
        body = {"event": event, "seq": len(self.events) + 1, "ts": ts, **more}
        self.events.append(canonical(body))
        return len(self.events)

    def leaves(self) -> list[bytes]:
        return [sha256(b"\0" + body.encode()) for body in self.events]

    def part(self, *seqs: int) -> dict[str, Any]:
        """What a bundle says of it."""
        leaves = self.leaves()
        text = checkpoint_text(self.origin, len(leaves), root(leaves))
        return {
            "key": b64(self.pin),
            "keys": list(self.certificates),
            "checkpoint": self.keys[-1].note(text, self.origin),
            "events": [
                {"body": self.events[seq - 1], "proof": inclusion(leaves, seq - 1)} for seq in sorted(seqs)
            ],
        }


@dataclass
class Log:
    """One run's log, and the keys that sealed it."""

    site: Site = field(default_factory=Site)
    run: str = "run_a1b2c3"
    began: str = "2026-01-12T09:59:59Z"
    seed: bytes = sha256(b"seed")
    entries: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    attestations: list[tuple[int, str, bytes, bytes]] = field(default_factory=list)  # seq, hash, sig, key
    told: list[int] = field(default_factory=list)  # events of the installation's log about this run
    version: int = 2

    @property
    def origin(self) -> str:
        return f"{self.site.origin}/{self.run}"

    def begin(self, signer: int = -1, name: str = "run 0") -> Log:
        """The run's first key, certified by the installation's key number `signer` (-1: its newest)."""
        self.keys.append(Key(name))
        text = certificate_text(self.origin, 0, self.keys[0], 0, self.began)
        self.certificates.append(self.site.keys[signer].note(text, self.site.origin))
        self.told.append(self.site.event("start", self.began, run=self.run, note=self.certificates[0]))
        return self

    def write(self, count: int = 1, kind: str = "console", **data: Any) -> Log:
        for _ in range(count):
            seq = len(self.entries) + 1
            said = data or {"line": f"line {seq}"}
            ts = TS.format(seq // 60 % 60, seq % 60)
            self.entries.append({"seq": seq, "ts": ts, "type": kind, "prev": "", "data": said, "hash": ""})
            self.chain(seq)
        return self

    def chain(self, since: int = 1) -> Log:
        """Hash anew from `since` on, as whoever rewrites a log does."""
        for at in range(since - 1, len(self.entries)):
            entry = self.entries[at]
            entry["seq"] = at + 1
            entry["prev"] = self.entries[at - 1]["hash"] if at else ""
            text = entry["ts"] + entry["type"] + entry["prev"] + canonical(entry["data"])
            entry["hash"] = sha256(entry["seq"].to_bytes(8, "big") + text.encode()).hex()
        return self

    def leaf_text(self, entry: dict[str, Any]) -> str:
        names = sorted(entry["data"])
        committed = {name: self.commitment(entry, name) for name in names}
        return canonical({"data": committed, "seq": entry["seq"], "ts": entry["ts"], "type": entry["type"]})

    def salt(self, entry: dict[str, Any], name: str) -> bytes:
        names = sorted(entry["data"])
        stream = hashlib.shake_256(self.seed + entry["seq"].to_bytes(8, "big")).digest(16 * len(names))
        at = 16 * names.index(name)
        return stream[at : at + 16]

    def commitment(self, entry: dict[str, Any], name: str) -> str:
        return sha256(self.salt(entry, name) + canonical({name: entry["data"][name]}).encode()).hex()

    def leaves(self, size: int | None = None) -> list[bytes]:
        return [sha256(b"\0" + self.leaf_text(entry).encode()) for entry in self.entries[:size]]

    def statement(self, *extensions: str, size: int | None = None, head: bytes | None = None) -> str:
        leaves = self.leaves(size)
        return checkpoint_text(self.origin, len(leaves), root(leaves) if head is None else head, *extensions)

    def seal(self, *extensions: str, by: Key | None = None, name: str = "", size: int | None = None) -> Log:
        """A checkpoint over the first `size` entries (None: all), by the run's newest key."""
        note = (by or self.keys[-1]).note(self.statement(*extensions, size=size), name or self.origin)
        if self.checkpoints and self.checkpoints[-1].split("\n")[1] == note.split("\n")[1]:
            self.checkpoints.pop()
        self.checkpoints.append(note)
        return self

    def rotate(self, ts: str = "2026-01-12T11:00:00Z") -> Log:
        self.seal()
        number = len(self.keys)
        key = Key(f"run {number}")
        text = certificate_text(self.origin, number, key, len(self.entries), ts)
        self.certificates.append(self.keys[-1].note(text, self.origin))
        self.keys.append(key)
        return self

    def close(self, reason: str = "exited") -> Log:
        self.seal(f"closed {reason}")
        self.attest(self.keys[-1])
        self.told.append(self.site.event("close", DAY.format(13), run=self.run, note=self.checkpoints[-1]))
        return self

    def interrupt(self, signer: int = -1, own: int = 1) -> Log:
        """As a later command closes what a killed run left."""
        key = self.site.keys[signer]
        if self.checkpoints and int(self.checkpoints[-1].split("\n")[1]) != len(self.entries):
            self.seal(by=key, name=self.site.origin)
        self.write(own, "container", action="interrupted")
        self.seal("closed interrupted", by=key, name=self.site.origin)
        self.attest(key)
        self.told.append(self.site.event("close", DAY.format(20), run=self.run, note=self.checkpoints[-1]))
        return self

    def attest(self, key: Key) -> Log:
        if self.entries:
            digest = self.entries[-1]["hash"]
            self.attestations = [(len(self.entries), digest, key.private.sign(digest.encode()), key.public)]
        return self

    def bundle(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "version": 1,
            "created_at": "2026-01-12T12:00:00Z",
            "last_hash": self.entries[-1]["hash"] if self.entries else "",
            "entries": copy.deepcopy(self.entries),
        }
        if self.attestations:
            made["attestations"] = [
                {
                    "seq": seq,
                    "root_hash": digest,
                    "timestamp": "2026-01-12T12:00:00Z",
                    "signature": b64(signature),
                    "public_key": b64(key),
                }
                for seq, digest, signature, key in self.attestations
            ]
        if self.version == 2:
            made |= {
                "origin": self.origin,
                "tree": {"seed": self.seed.hex()},
                "checkpoints": list(self.checkpoints),
                "keys": list(self.certificates),
                "installation": self.site.part(*self.told),
                "anchors": [],
            }
        return made

    def json(self) -> bytes:
        return json.dumps(self.bundle()).encode()

    def frontier(self) -> str:
        leaves, roots, at = self.leaves(), [], 0
        for bit in reversed(range(len(leaves).bit_length())):
            if len(leaves) >> bit & 1:
                roots.append(root(leaves[at : at + (1 << bit)]).hex())
                at += 1 << bit
        return json.dumps({"size": len(leaves), "roots": roots}, separators=(",", ":"))

    def database(self, path: Path) -> Path:
        """The same as audit.db, in the schema of FORMAT.md."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            self._write(connection)
            connection.commit()
        return path

    def _write(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY, ts TEXT, type TEXT, prev_hash TEXT, data TEXT,"
            " hash TEXT UNIQUE);"
            "CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT);"
            "CREATE TABLE attestations (seq INTEGER PRIMARY KEY, root_hash TEXT, timestamp TEXT,"
            " signature BLOB, public_key BLOB);"
            "CREATE TABLE rekor_proofs (seq INTEGER PRIMARY KEY, log_index INTEGER, log_id TEXT,"
            " tree_size INTEGER, root_hash TEXT, hashes TEXT, timestamp TEXT, entry_uuid TEXT);"
        )
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
            [
                (e["seq"], e["ts"], e["type"], e["prev"], canonical(e["data"]), e["hash"])
                for e in self.entries
            ],
        )
        connection.executemany(
            "INSERT INTO attestations VALUES (?, ?, '2026-01-12T12:00:00Z', ?, ?)", self.attestations
        )
        if self.version == 2:
            connection.executescript(
                "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL);"
                "CREATE TABLE keys (number INTEGER PRIMARY KEY, note TEXT NOT NULL);"
            )
            connection.executemany(
                "INSERT INTO metadata VALUES (?, ?)",
                [("origin", self.origin), ("tree_seed", self.seed.hex()), ("frontier", self.frontier())],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?)",
                [(int(note.split("\n")[1]), note) for note in self.checkpoints],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO keys VALUES (?, ?)",
                [(int(note.split("\n")[1][4:]), note) for note in self.certificates],
            )

    def proof(self, *seqs: int, withheld: tuple[str, ...] = ()) -> dict[str, Any]:
        """Of single entries, to the last checkpoint."""
        size = int(self.checkpoints[-1].split("\n")[1])
        leaves = self.leaves(size)
        shown = []
        for seq in seqs:
            entry = self.entries[seq - 1]
            data = {
                name: {"commitment": self.commitment(entry, name)}
                if name in withheld
                else {"value": value, "salt": self.salt(entry, name).hex()}
                for name, value in entry["data"].items()
            }
            shown.append(
                {
                    "seq": seq,
                    "ts": entry["ts"],
                    "type": entry["type"],
                    "data": data,
                    "proof": inclusion(leaves, seq - 1),
                }
            )
        made = {
            "moat_proof": 1,
            "origin": self.origin,
            "checkpoint": self.checkpoints[-1],
            "keys": list(self.certificates),
            "installation": self.site.part(*self.told),
            "entries": shown,
        }
        by_run = [note for note in self.checkpoints if f"\u2014 {self.origin} " in note]
        if by_run and by_run[-1] != self.checkpoints[-1]:
            made["run_checkpoint"] = by_run[-1]
            made["consistency"] = consistency(leaves, int(by_run[-1].split("\n")[1]))
        return made


def closed(count: int = 10, site: Site | None = None, **more: Any) -> Log:
    return Log(site=site or Site(), **more).begin().write(count).seal().close()
