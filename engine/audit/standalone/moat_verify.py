#!/usr/bin/env python3
"""Verify a Moat proof bundle, or a proof of single entries, with nothing but Python's standard library.

    python moat_verify.py proof.json --key KEY [--finished] [--witness KEY]... [--json]

KEY is the public key of the installation that the run was on, its heads/signing.pub, and must have reached
you another way than the file to verify: as hex, as base64, as a verifier key line (NAME+ID+BASE64), or as a
file that holds one of these. Without it nothing says who made the bundle.

    0  INTACT, OPEN             holds; OPEN: the log was not closed yet when this was made
    1  TAMPERED, TRUNCATED      was changed (and where), or was cut short
    2  UNANCHORED               consistent in itself, but no pinned key vouches for it; also: not readable

--finished says that you know the run to be over: a log that is not closed is then a truncated one.
--witness is the verifier key of a witness that you trust: its cosignatures of the installation's log are
verified too. Other anchors (timestamps, Rekor, what lies in directories and git remotes) are only counted.

This file is written to be read from top to bottom, and for Python 3.9 and later. It is longer than Moat's
files are wont to be because it must be one; it shares no code with the rest of Moat, which verifies in the
same way with `moat audit verify`. What the formats are stands in engine/audit/FORMAT.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys

MAX_FILE = 512 * 1024 * 1024  # bytes
MAX_DEPTH, MAX_DATA_DEPTH = 64, 16  # of a document, of an entry's data
SEALED_EVERY = 256  # entries between two checkpoints, at most
OWN_ENTRIES = 256  # that a later command adds to the log of a killed run, at most
TREE_KEYS = ("origin", "tree", "checkpoints", "keys", "installation")
TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{0,8}[1-9])?Z")
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*")
RUN_ORIGIN = re.compile(r"(moat/[0-9a-f]{16})/[A-Za-z0-9._-]{1,100}")
# The order in which the Go Moat hashes the fields of its entries, and then exports them sorted.
DECLARED = {
    "console": "line",
    "network": "method url status_code duration_ms credential_used error",
    "credential": "name action host",
    "secret": "name backend",
    "ssh": "action host fingerprint error",
    "container": "action privileged reason buildkit_enabled buildkit_container_id buildkit_network_id",
    "exec": "command has_stdin exit_code",
    "policy": "scope operation decision rule message",
}


class Unreadable(Exception):
    """Not a bundle at all: exit code 2."""


class Fault(Exception):
    """What does not hold. at: the first seq that is not what was written, 0 when none can be named."""

    def __init__(self, error, at=0, kind="TAMPERED"):
        super().__init__(error)
        self.error, self.at, self.kind = error, at, kind


def need(condition, error, at=0):
    if not condition:
        raise Fault(error, at)


def caught(check):
    """The fault that `check` raises, or None."""
    try:
        check()
    except Fault as fault:
        return fault
    return None


def worst(faults):
    """The first that says that something was changed, before the first that something was cut off."""
    faults = list(faults)
    return next((fault for fault in faults if fault.kind == "TAMPERED"), faults[0] if faults else None)


def unsealed(before, size):
    return Fault("no checkpoint lies between seq %d and seq %d" % (before, size), before + 1)


def more_than_one_can_add(by_run, size):
    what = "seq %d to %d are sealed by a later command, more than one can add"
    return Fault(what % (by_run + 1, size), by_run + 1)


# --- Ed25519 (RFC 8032, section 5.1), verification only --------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def point_add(one, other):
    """In extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_decode(raw):
    """The point, or None: not 32 bytes, not in its one spelling, or not on the curve."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(raw) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (not x and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def point_encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


NEUTRAL = (0, 1, 1, 0)
BASE = point_decode(bytes.fromhex("58" + "66" * 31))


class Multiples:
    """All d * 16**i of a point: with them a multiplication is 64 additions. Made once for each key."""

    def __init__(self, point):
        self.rows = []
        for _ in range(64):
            row = [NEUTRAL]
            for _ in range(15):
                row.append(point_add(row[-1], point))
            self.rows.append(row)
            point = point_add(row[-1], point)

    def times(self, number):
        total = NEUTRAL
        for row in self.rows:
            if number & 15:
                total = point_add(total, row[number & 15])
            number >>= 4
        return total


KNOWN_MULTIPLES: dict[bytes, object] = {}


def key_multiples(public_key):
    """Of minus the key's point; None for what is no key: a point of small order too, which signs anything."""
    if public_key not in KNOWN_MULTIPLES:
        point, found = point_decode(public_key), None
        if point is not None:
            eight = point
            for _ in range(3):
                eight = point_add(eight, eight)
            if point_encode(eight) != point_encode(NEUTRAL):
                found = Multiples((P - point[0], point[1], 1, P - point[3]))
        KNOWN_MULTIPLES[public_key] = found
    return KNOWN_MULTIPLES[public_key]


def ed25519_valid(public_key, message, signature):
    if BASE not in KNOWN_MULTIPLES:
        KNOWN_MULTIPLES[BASE] = Multiples(BASE)
    multiples = key_multiples(public_key)
    if multiples is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    h = int.from_bytes(digest, "little") % L
    return point_encode(point_add(KNOWN_MULTIPLES[BASE].times(s), multiples.times(h))) == signature[:32]


# --- JSON that means one thing to every reader -----------------------------------------------------------


class NotWhole:
    """Stands for a number that is no integer within reach; no text can be made from it."""


def strict_json(data):
    """Raises ValueError: no JSON, a key given twice, NaN, nested too deeply."""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=unique,
            parse_constant=refuse,
            parse_float=lambda text: NotWhole(),
            parse_int=lambda text: int(text) if len(text.lstrip("-")) <= 19 else NotWhole(),
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
    if level:
        raise ValueError("nested too deeply")
    return value


def unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return found


def refuse(name):
    raise ValueError(name + " is no JSON")


def canonical(value, sort=True, depth=0):
    """The compact text of `value`, as Go prints it. Raises ValueError for what Go would print otherwise."""
    if depth > MAX_DATA_DEPTH:
        raise ValueError("nested too deeply")
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text
        text = json.dumps(value, ensure_ascii=False)
        for char in "<>&\u2028\u2029":
            if char in text:
                text = text.replace(char, "\\u%04x" % ord(char))
        return text
    if isinstance(value, int) and -(2**53) <= value <= 2**53:
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join([canonical(item, sort, depth + 1) for item in value]) + "]"
    if isinstance(value, dict):
        names = sorted(value) if sort else value
        pairs = [canonical(name) + ":" + canonical(value[name], sort, depth + 1) for name in names]
        return "{" + ",".join(pairs) + "}"
    raise ValueError("not a value that an entry can have")


def data_texts(kind, data, tree):
    """The texts that an entry's data may have been hashed in; with a tree there is only one."""
    if not isinstance(data, dict):
        return
    try:
        if not tree:
            yield canonical(data, sort=False)
        yield canonical(data)
        order = DECLARED.get(kind, "").split()
        if not tree and order and set(data) <= set(order):
            parts = [canonical({name: data[name]})[1:-1] for name in order if name in data]
            yield "{" + ",".join(parts) + "}"
    except (ValueError, RecursionError):
        return


# --- Merkle trees (RFC 9162, section 2.1) ----------------------------------------------------------------


def sha256(raw):
    return hashlib.sha256(raw).digest()


def leaf_hash(raw):
    return sha256(b"\x00" + raw)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def add_leaf(subtrees, size, leaf):
    """Append to the roots of the full subtrees of a tree of `size` leaves."""
    while size & 1:
        leaf = node_hash(subtrees.pop(), leaf)
        size >>= 1
    subtrees.append(leaf)


def tree_root(subtrees):
    if not subtrees:
        return sha256(b"")
    head = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        head = node_hash(left, head)
    return head


def climb(number, last, heads, path):
    """What a proof makes of its first hashes on the way up from leaf `number`; None when it does not fit."""
    for part in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            heads = [node_hash(part, head) for head in heads]
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            heads = [*heads[:-1], node_hash(heads[-1], part)]
        number, last = number >> 1, last >> 1
    return heads if last == 0 else None


def included(leaf, index, size, proof, root):
    return 0 <= index < size and climb(index, size - 1, [leaf], proof) == [root]


def consistent(old_size, old_root, new_size, new_root, proof):
    if not 0 < old_size < new_size:
        return old_size in (0, new_size) and not proof and old_root == (new_root if old_size else sha256(b""))
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else proof
    number, last = old_size - 1, new_size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    return bool(path) and climb(number, last, [path[0]] * 2, path[1:]) == [old_root, new_root]


def leaf_of(seq, ts, kind, committed):
    return leaf_hash(canonical({"data": committed, "seq": seq, "ts": ts, "type": kind}).encode())


def entry_leaf(seed, entry):
    """Each field stands in the leaf as a commitment that is salted from the log's seed."""
    names = sorted(entry["data"])
    stream = hashlib.shake_256(seed + entry["seq"].to_bytes(8, "big")).digest(16 * len(names))
    committed = {}
    for at, name in enumerate(names):
        text = canonical({name: entry["data"][name]})
        committed[name] = sha256(stream[16 * at : 16 * at + 16] + text.encode()).hex()
    return leaf_of(entry["seq"], entry["ts"], entry["type"], committed)


# --- Signed notes, certificates, checkpoints -------------------------------------------------------------

NUMBER = "(?:0|[1-9][0-9]{0,18})"
NOTE_NAME = re.compile(r"[^\s+]{1,200}")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def strict_base64(text):
    """Standard base64 in its one spelling; ValueError for any other."""
    raw = base64.b64decode(text.encode(), validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in another spelling than the usual one")
    return raw


def site_name(public_key):
    return "moat/" + sha256(public_key).hex()[:16]


def key_id(name, public_key):
    return sha256(name.encode() + b"\n\x01" + public_key)[:4]


def parse_note(whole):
    """(text, [(name, key id, signature)]). Raises ValueError."""
    text, gap, tail = whole.rpartition("\n\n")
    sound = gap and text and tail.endswith("\n") and not CONTROL.search(whole)
    lines = tail[:-1].split("\n")
    if len(whole.encode()) > 1000000 or not sound or len(lines) > 100:
        raise ValueError("not a signed note")
    signatures = []
    for line in lines:
        name, _, encoded = line[2:].partition(" ")
        raw = strict_base64(encoded)
        if not line.startswith("\u2014 ") or not NOTE_NAME.fullmatch(name) or len(raw) < 5:
            raise ValueError("not a signature")
        signatures.append((name, raw[:4], raw[4:]))
    return text + "\n", signatures


class Certificate:
    """A key of the log `origin`, from `size` leaves and the moment `ts` on."""

    def __init__(self, whole, origin, number, what):
        try:
            self.note = parse_note(whole)
            self.origin, which, encoded, since, self.ts, end = self.note[0].split("\n")
            self.number, self.public_key = number, strict_base64(encoded)
            sound = re.fullmatch("key " + NUMBER, which) and TIMESTAMP.fullmatch(self.ts)
            self.size = int(re.fullmatch("from " + NUMBER, since)[0][5:])
        except (ValueError, TypeError):
            sound = False
        need(sound and not end and len(self.public_key) == 32, what + " is none")
        need((self.origin, which) == (origin, "key %d" % number), what + " is that of another key")


class FirstKey:
    """An installation's first key has no certificate: it is what is pinned."""

    def __init__(self, origin, public_key):
        self.origin, self.number, self.public_key, self.size, self.ts = origin, 0, public_key, 0, ""


def signers(note, keys, what):
    """The numbers of those keys that signed. A signature that only seems to be one of theirs is a fault."""
    known = {(key.origin, key_id(key.origin, key.public_key)): key for key in keys}
    found = []
    for name, which, signature in note[1]:
        key = known.get((name, which))
        if key is not None:
            good = key.number not in found and ed25519_valid(key.public_key, note[0].encode(), signature)
            need(good, what + " has a signature that is not valid")
            found.append(key.number)
    return sorted(found)


def in_use(keys, number, size):
    return size >= keys[number].size and (number + 1 == len(keys) or size <= keys[number + 1].size)


class Checkpoint:
    """A signed head of a log. run, site: the number of the run's or the installation's key, -1 for none."""

    def __init__(self, whole, what):
        self.whole, self.run, self.site, self.public_key = whole, -1, -1, b""
        try:
            self.note = parse_note(whole)
            self.origin, size, encoded, *extensions = self.note[0][:-1].split("\n")
            self.root = strict_base64(encoded)
            sound = re.fullmatch(NUMBER, size) and "" not in (self.origin, *extensions)
        except ValueError:
            sound = False
        need(sound and len(self.root) == 32, what + " is none")
        self.size = int(size)
        self.closing = [line[7:] for line in extensions if line.startswith("closed ")]
        self.closed = "".join(self.closing)


# --- From the pinned key to the keys of the run ----------------------------------------------------------


class Trust:
    """The keys of a run and of its installation. Raises Fault where certificates do not lead on."""

    def __init__(self, origin, certificates, installation):
        matched, first = RUN_ORIGIN.fullmatch(origin), installation["key"]
        need(matched, "the log has no name that a run's log can have")
        self.origin, self.name = origin, matched[1]
        need(site_name(first) == self.name, "the log's name is that of another installation than its key")
        self.site, self.run = [FirstKey(self.name, first)], []
        for number, whole in enumerate(installation["keys"], 1):
            what, before = "the certificate of the installation's key %d" % number, self.site[-1]
            key = Certificate(whole, self.name, number, what)
            later = key.size >= before.size and key.ts[:-1] >= before.ts[:-1]
            need(later, what + " begins before the one before it")
            need(signers(key.note, [before], what), what + " is not signed by the key before it")
            self.site.append(key)
        need(certificates, "the log has no certificate of its run's key")
        for number, whole in enumerate(certificates):
            what = "the certificate of the run's key %d" % number
            key = Certificate(whole, origin, number, what)
            if number == 0:
                self.began_with = self.first_by(key, what)
            else:
                need(key.size >= self.run[-1].size, what + " begins before the one before it")
                need(signers(key.note, self.run[-1:], what), what + " is not signed by the key before it")
            self.run.append(key)

    def first_by(self, key, what):
        found = signers(key.note, self.site, what)
        need(found and key.size == 0, what + " is not signed by a key of its installation")
        number, later = found[-1], self.site[found[-1] + 1 :]
        then = key.ts[:-1] >= self.site[number].ts[:-1] and (not later or later[0].ts[:-1] >= key.ts[:-1])
        wrong = "%s is signed with the installation's key %d, which was not in use at %s"
        need(then, wrong % (what, number, key.ts))
        return number

    def checkpoint(self, whole):
        """A checkpoint of the run whose signature holds."""
        found = Checkpoint(whole, "a checkpoint of the log")
        what = "the checkpoint at size %d" % found.size
        need(found.origin == self.origin, what + " is that of another log")
        known = ([], ["exited"], ["stopped"], ["failed"], ["interrupted"])
        need(found.closing in known, what + " closes the log in a way that there is not")
        by_run = signers(found.note, self.run, what)
        if by_run:
            found.run, found.public_key = by_run[-1], self.run[by_run[-1]].public_key
            wrong = what + " is signed with the run's key %d, which was not in use at that size"
            need(in_use(self.run, found.run, found.size), wrong % found.run)
            return found
        by_site = signers(found.note, self.site, what)
        need(by_site, what + " is not signed by a key of this run")
        found.site, found.public_key = by_site[-1], self.site[by_site[-1]].public_key
        before = what + " is signed with a key of the installation from before the run began"
        need(found.site >= self.began_with, before)
        own = found.closed in ("", "interrupted")
        need(own, what + " closes the log in a name that only the run's own key has")
        return found


class Events:
    """What the installation's log says of the run, once its inclusion there is known."""

    def __init__(self, trust, certificates, installation):
        self.size, self.heads, self.close, started = 0, [], "", False
        if not installation["checkpoint"]:
            need(not installation["events"], "the installation's log is quoted without a checkpoint of it")
            return
        what = "the checkpoint of the installation's log"
        head = Checkpoint(installation["checkpoint"], what)
        by = signers(head.note, trust.site, what)
        need(head.origin == trust.name and by, what + " is not signed by a key of the installation")
        used, wrong = (
            in_use(trust.site, by[-1], head.size),
            " is signed with key %d, which was not in use at that size",
        )
        need(used, what + wrong % by[-1])
        for event in installation["events"]:
            kind, run, note = self.event(event, head)
            ours = run == trust.origin.rpartition("/")[2] and kind in ("start", "head", "close", "destroy")
            need(ours, "an event of the installation's log is none of this run's")
            if kind == "start":
                same = not started and note == certificates[0]
                need(same, "the installation's log has another certificate of the run's key 0")
                started = True
            elif kind != "destroy":
                found = trust.checkpoint(note)
                if kind == "close":
                    good = not self.close and found.closed
                    need(good, "the installation's log has a close record that is none")
                    self.close = note
                self.heads.append(found)
        need(started, "the installation's log is quoted without the run's start")
        self.size = head.size

    @staticmethod
    def event(event, head):
        try:
            body, raw = strict_json(event["body"]), event["body"].encode()
            kind, seq, ts, run = (body[name] for name in ("event", "seq", "ts", "run"))
            note, proof = body.get("note", ""), [strict_base64(part) for part in event["proof"]]
            sound = (
                type(seq) is int and TIMESTAMP.fullmatch(ts) and type(kind) is type(run) is type(note) is str
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            sound = False
        need(sound, "an event of the installation's log is none")
        inside = included(leaf_hash(raw), seq - 1, head.size, proof, head.root)
        need(inside, "event %d is not in the installation's log" % seq)
        return kind, run, note


# --- The verdict on a bundle -----------------------------------------------------------------------------


class Bundle:
    """A bundle and what was found out about it. Every part's first fault is kept; judge() names one."""

    def __init__(self, document):
        self.document, self.tree = document, any(name in document for name in TREE_KEYS)
        self.entries, self.attestations = document["entries"], document["attestations"]
        self.certificates, self.checkpoints = document.get("keys", []), document.get("checkpoints", [])
        self.count, self.last, self.hashes = 0, "", {}
        self.leaves, self.roots, self.subtrees = 0, {0: sha256(b"")}, []
        self.heads, self.trust, self.events, self.seed = [], None, None, b""
        self.tree_fault = caught(self.open_tree) if self.tree else None
        self.opened = self.tree and self.tree_fault is None
        self.leaf_fault = None
        self.chain_fault = caught(self.walk)
        if self.tree and self.chain_fault is None:
            self.tree_fault = self.leaf_fault or self.tree_fault or worst(self.tree_faults())
        self.attested_fault = worst(self.attested_faults())

    def open_tree(self):
        missing = ", ".join(name for name in TREE_KEYS if name not in self.document)
        need(not missing, "only a part of what makes the tree is there: %s missing" % missing)
        seed, installation = self.document["tree"]["seed"], self.document["installation"]
        need(re.fullmatch("[0-9a-f]{64}", seed), "the seed of the log's tree is none")
        self.seed = bytes.fromhex(seed)
        try:
            self.trust = Trust(self.document["origin"], self.certificates, installation)
            for whole in self.checkpoints:
                found = self.trust.checkpoint(whole)
                ordered = not self.heads or found.size > self.sealed
                need(ordered, "the checkpoint at size %d is out of order" % found.size)
                self.heads.append(found)
            self.events = Events(self.trust, self.certificates, installation)
        except Fault as fault:
            raise Fault(fault.error, self.sealed + 1 if self.heads else 0) from None

    @property
    def sealed(self):
        return self.heads[-1].size if self.heads else 0

    @property
    def sealed_by_run(self):
        return max([head.size for head in self.heads if head.run >= 0], default=0)

    @property
    def closed(self):
        return self.heads[-1].closed if self.heads else ""

    def walk(self):
        """The chain, and the leaves of a log with a tree, up to the first that is not as it should be."""
        watch = {head.size for head in self.heads + (self.events.heads if self.events else [])}
        latest = self.trust.run[0].ts[:-1] if self.trust and self.trust.run else ""
        for entry in self.entries:
            seq, ts, kind, data = entry["seq"], entry["ts"], entry["type"], entry["data"]
            if seq != self.count + 1:
                at = min(seq, self.count + 1) if seq > 0 else self.count + 1
                raise Fault("sequence gap: expected %d, got %d" % (self.count + 1, seq), at)
            need(entry["prev"] == self.last, "broken chain at seq %d: prev_hash mismatch" % seq, seq)
            good = (
                TIMESTAMP.fullmatch(ts)
                and TYPE_NAME.fullmatch(kind)
                and entry["hash"]
                in (
                    sha256(seq.to_bytes(8, "big") + (ts + kind + self.last + text).encode()).hex()
                    for text in data_texts(kind, data, self.tree)
                )
            )
            need(good, "invalid hash at seq %d: entry tampered" % seq, seq)
            self.count, self.last = seq, entry["hash"]
            self.hashes[seq] = self.last
            if self.seed and self.leaf_fault is None:
                if ts[:-1] < latest:
                    self.leaf_fault = Fault("the time of seq %d lies before the one before it" % seq, seq)
                latest = ts[:-1]
                add_leaf(self.subtrees, self.leaves, entry_leaf(self.seed, entry))
                self.leaves = seq
                if seq in watch:
                    self.roots[seq] = tree_root(self.subtrees)

    def tree_faults(self):
        """Where what was signed does not fit together, or to the entries."""
        before = by_run = 0
        later = None
        for number, head in enumerate(self.heads):
            if head.size - before > SEALED_EVERY:
                yield unsealed(before, head.size)
            if head.closed and (number + 1 < len(self.heads) or self.count > head.size):
                yield Fault("the log goes on after its close record", head.size + 1)
            if head.run >= 0:
                by_run = head.size
                if later is not None:
                    yield Fault("the run's own key sealed the log after a later command had", later + 1)
            else:
                later = head.size if later is None else later
                if later - by_run > SEALED_EVERY or head.size - later > OWN_ENTRIES:
                    yield more_than_one_can_add(by_run, head.size)
            before = head.size
        if self.count - before > SEALED_EVERY:
            yield unsealed(before, self.count)
        good = 0
        for head in self.heads:
            yield from self.compared(head, "", good)
            good = head.size
        for head in self.events.heads:
            yield from self.compared(head, " in the installation's log", 0)
        if self.events.close and (not self.heads or self.events.close != self.heads[-1].whole):
            kind = "TAMPERED" if self.closed else "TRUNCATED"
            yield Fault(
                "the installation's log has a close record that the log has not", self.sealed + 1, kind
            )
        for key in self.trust.run:
            if key.size > self.count:
                made = "the run's key %d was made at size %d, but the log ends at seq %d"
                yield Fault(made % (key.number, key.size, self.count), self.count + 1, "TRUNCATED")

    def compared(self, head, where, good):
        what = "the checkpoint at size %d%s" % (head.size, where)
        if head.size > self.count:
            more = "%s says that there was more: the log ends at seq %d" % (what, self.count)
            yield Fault(more, self.count + 1, "TRUNCATED")
        elif self.roots[head.size] != head.root:
            other = "%s was made over another log: changed from seq %d on, or later"
            yield Fault(other % (what, good + 1), good + 1)

    def attested_faults(self):
        if self.document["malformed"]:
            yield self.document["malformed"]
        own = [found for found in self.attestations if found["key"] == self.document["pin"]]
        for found in self.attestations:
            seq, digest, key = found["seq"], found["root_hash"], found["key"]
            wrong = "invalid signature on attestation at seq %d" % seq
            good = digest.isascii() and ed25519_valid(key, digest.encode(), found["signature"])
            if not good:
                yield Fault(wrong, seq)
                return
            if not self.tree and own and found not in own:
                yield Fault(wrong + ": not made with this installation's key", seq)
            if self.chain_fault is None and seq > self.count:
                ends = "last hash mismatch: an attestation covers seq %d, but the log ends at seq %d"
                yield Fault(ends % (seq, self.count), self.count + 1, "TRUNCATED")
            elif self.chain_fault is None and self.hashes.get(seq) != digest:
                yield Fault(
                    "last hash mismatch: the attestation at seq %d was made over another chain" % seq, seq
                )
        sealing = {head.size: head.public_key for head in self.heads}
        for found in self.attestations if self.opened and not self.chain_fault else []:
            if sealing.get(found["seq"]) != found["key"]:
                wrong = "invalid signature on attestation at seq %d: not by the key that sealed the log"
                yield Fault(wrong % found["seq"], min(found["seq"], self.count + 1))

    def judge(self, finished):
        """The verdict as an object of JSON; the same that `moat audit verify --json` prints."""
        pin, count, last_hash = self.document["pin"], self.count, self.document["last_hash"]
        faults = [fault for fault in (self.tree_fault, self.attested_fault) if fault]
        short = [fault for fault in faults if fault.kind == "TRUNCATED"]
        changed = [fault for fault in faults if fault.kind == "TAMPERED"]
        chain, first = self.chain_fault, self.chain_fault
        if chain is None and last_hash != self.last:
            kind, at = ("TRUNCATED", count + 1) if short else ("TAMPERED", count)
            what = "last hash mismatch: expected %s, got %s" % (shown(last_hash), shown(self.last))
            chain = Fault(what, at, kind)
        if chain is None and not faults and not count and not self.tree:
            chain = Fault("the log has no entries: it was emptied, or nothing was ever written to it")
        signed = max([found["seq"] for found in self.attestations], default=0)
        signed = self.sealed if self.tree else signed
        closed = not chain and not faults and signed == count and bool(self.closed or not self.tree)
        if finished and not chain and not faults and not closed:
            what = "last hash mismatch: no attestation covers the last entry, seq %d" % count
            if self.tree:
                what = "the run has ended, but its log has no close record: it ends at seq %d" % count
            short = [Fault(what, count + self.tree, "TRUNCATED")]
        fault = next((found for found in (first, *changed, chain, *short) if found), None)
        doubt = "" if fault else self.doubt(pin, signed)
        ended = bool(short) and not faults
        return {
            **verdict(fault, doubt, closed),
            "hash_chain_valid": chain is None,
            "attestations_valid": not self.attested_fault and not (ended and not self.tree),
            "rekor_proofs_present": bool(self.document["rekor_proofs"]),
            "entry_count": len(self.entries),
            "attestation_count": len(self.attestations) + bool(self.document["malformed"]),
            "rekor_proof_count": len(self.document["rekor_proofs"]),
            "last_hash": self.last,
            "signers": list(dict.fromkeys(found["key"].hex() for found in self.attestations))
            if not self.attested_fault and not (ended and not self.tree)
            else [],
            "origin": self.document.get("origin", "") if self.tree else "",
            "tree_valid": (not chain and not self.tree_fault and not ended) if self.tree else None,
            "checkpoint_count": len(self.checkpoints) if self.tree else 0,
            "key_count": len(self.certificates) if self.tree else 0,
            "anchor_count": len(self.document["anchors"]),
            "sealed_to": self.sealed if not fault else 0,
            "sealed_by_run_to": self.sealed_by_run if not fault else 0,
            "closed_as": self.closed if closed and not fault else "",
            "rests_on": [] if fault else self.grounds(signed),
        }

    def doubt(self, pin, signed):
        """Why nobody whom the reader knows vouches for all of the log; "" when somebody does."""
        if pin is None:
            return NO_PIN
        if not self.tree and not self.attestations:
            return "nothing in it is signed"
        by = [self.trust.site[0].public_key] if self.tree else [found["key"] for found in self.attestations]
        if any(key != pin for key in by):
            return OTHER_KEY
        return "nothing signed covers seq %d to %d" % (signed + 1, self.count) if signed < self.count else ""

    def grounds(self, signed):
        lines = ["the hash chain of " + plural(self.count, "entry", "entries")]
        if self.tree:
            sealed = (plural(len(self.heads), "checkpoint"), signed)
            lines.append("the Merkle tree over them, sealed by %s up to seq %d" % sealed)
            if signed < self.count:
                lines.append("nothing signed for seq %d to %d so far" % (signed + 1, self.count))
            lines += key_grounds(self.trust)
            if self.sealed_by_run < signed:
                lines.append(later_command(self.trust, self.heads[-1].site, self.sealed_by_run, signed))
            if self.events.size:
                told = "start and close" if self.events.close else "start"
                of = (plural(self.events.size, "event"), told)
                lines.append("the installation's log of %s: it has the run's %s" % of)
        elif self.attestations:
            keys = ", ".join(dict.fromkeys(found["key"].hex() for found in self.attestations))
            of = (min(signed, self.count), keys)
            lines.append("a signature over the chain up to seq %d by the key %s; no tree (version 1)" % of)
        else:
            lines.append("nothing signed so far; the log has no tree (version 1)")
        return [*lines, anchored(len(self.document["anchors"]))]


# --- The verdict on single entries -----------------------------------------------------------------------


def judge_proof(document, finished):
    fault, doubt, lines, grounds, head, by_run = None, "", [], [], None, 0
    try:
        trust = Trust(document["origin"], document["keys"], document["installation"])
        head = trust.checkpoint(document["checkpoint"])
        for event in Events(trust, document["keys"], document["installation"]).heads:
            other = event.closed and event.whole != head.whole
            need(not other, "the installation's log has another close record")
        by_run = sealed_by_run(document, trust, head)
        lines = shown_entries(document["entries"], head)
        if finished and not head.closed:
            what = "the run has ended, but the proof is of its log while open, with %d entries"
            raise Fault(what % head.size, head.size + 1, "TRUNCATED")
        pin = document["pin"]
        doubt = NO_PIN if pin is None else OTHER_KEY if pin != document["installation"]["key"] else ""
        of = plural(head.size, "entry", "entries")
        grounds = ["inclusion in the Merkle tree with %s, sealed by a checkpoint" % of, *key_grounds(trust)]
        if by_run < head.size:
            grounds.append(later_command(trust, head.site, by_run, head.size))
        grounds.append(anchored(0))
    except Fault as found:
        fault = found
    return {
        **verdict(fault, doubt, bool(head and head.closed)),
        **dict.fromkeys(("hash_chain_valid", "attestations_valid", "tree_valid"), not fault),
        "rekor_proofs_present": False,
        "entry_count": len(document["entries"]),
        **dict.fromkeys(("attestation_count", "rekor_proof_count", "anchor_count"), 0),
        "last_hash": "",
        "signers": [],
        "origin": document["origin"],
        "checkpoint_count": 1,
        "key_count": len(document["keys"]),
        "sealed_to": 0 if fault else head.size,
        "sealed_by_run_to": 0 if fault else by_run,
        "closed_as": "" if fault else head.closed,
        "rests_on": grounds,
        "shown": [] if fault else lines,
    }


def sealed_by_run(document, trust, head):
    """How many entries the run's own key sealed; a fault when that is not known to be enough."""
    if head.run >= 0:
        return head.size
    size = 0
    if document["run_checkpoint"]:
        before = trust.checkpoint(document["run_checkpoint"])
        size = before.size
        proof = hashes(document["consistency"])
        goes_on = proof is not None and consistent(size, before.root, head.size, head.root, proof)
        need(before.run >= 0 and goes_on, "the checkpoint is not proved to go on from the run's own")
    if head.size - size > SEALED_EVERY + OWN_ENTRIES:
        fault = more_than_one_can_add(size, head.size)
        raise Fault(fault.error)
    return size


def shown_entries(entries, head):
    lines, before = [], 0
    for entry in entries:
        seq, ts, kind = entry["seq"], entry["ts"], entry["type"]
        sound = seq > before and TIMESTAMP.fullmatch(ts) and TYPE_NAME.fullmatch(kind)
        need(sound, "seq %d is out of order or no entry" % seq, max(seq, before))
        lines.append("seq %d  %s  %s" % (seq, ts, kind))
        committed, before = {}, seq
        for name, field in sorted(entry["data"].items()):
            committed[name], text = shown_field(seq, name, field)
            lines.append("  %s: %s" % (name, text))
        proof = hashes(entry["proof"])
        try:
            leaf = leaf_of(seq, ts, kind, committed)
        except ValueError:
            proof = None
        need(proof is not None, "the proof of seq %d is none" % seq, seq)
        inside = included(leaf, seq - 1, head.size, proof, head.root)
        need(inside, "seq %d is not what the sealed log has there" % seq, seq)
    need(entries, "the proof shows no entry")
    return lines


def shown_field(seq, name, field):
    """The commitment to a field, and what a reader sees of it."""
    names = sorted(field) if isinstance(field, dict) else []
    texts = [field[key] for key in names if key != "value"]
    if names == ["commitment"] and isinstance(texts[0], str) and re.fullmatch("[0-9a-f]{64}", texts[0]):
        return texts[0], "kept back"
    salted = (
        names == ["salt", "value"] and isinstance(texts[0], str) and re.fullmatch("[0-9a-f]{32}", texts[0])
    )
    need(salted, "a field of seq %d is neither shown nor kept back" % seq, seq)
    try:
        text = canonical({name: field["value"]})
    except ValueError:
        raise Fault("a field of seq %d has a value that no entry can have" % seq, seq) from None
    return sha256(bytes.fromhex(texts[0]) + text.encode()).hex(), canonical(field["value"])


# --- Words -----------------------------------------------------------------------------------------------

NO_PIN = "no pinned key vouches for it: anybody could have made it"
OTHER_KEY = "it is signed by another installation's key than the pinned one"


def verdict(fault, doubt, closed):
    word = fault.kind if fault else "UNANCHORED" if doubt else "INTACT" if closed else "OPEN"
    return {
        "valid": word in ("INTACT", "OPEN"),
        "verdict": word,
        "error": fault.error if fault else doubt,
        "broken_at": fault.at if fault else 0,
        "closed": closed and not fault,
        "shown": [],
    }


def key_grounds(trust):
    first, newest = trust.site[0], trust.site[-1]
    run = (plural(len(trust.run), "key"), trust.run[0].ts, trust.began_with)
    line = "the key %s of %s" % (first.public_key.hex(), first.origin)
    if newest.number:
        line += ", and its %s, the newest of %s" % (plural(newest.number, "later key"), newest.ts)
    return ["%s of the run, the first certified at %s by the installation's key %d" % run, line]


def cosigned(document, events, witnesses):
    """What those witnesses said of the installation's log, a line each; a Fault when they saw another one."""
    lines = []
    head = Checkpoint(document["installation"]["checkpoint"], "the checkpoint") if events.size else None
    for anchor in document["anchors"] if head is not None else ():
        try:
            body, proof = anchor["body"], [strict_base64(part) for part in anchor["proof"]]
            seen, note = Checkpoint(body, "an anchor"), parse_note(body)
        except (Fault, ValueError, KeyError, TypeError, AttributeError):
            continue
        for name, which, signature in note[1]:
            key = witnesses.get((name, which))
            if key is None or len(signature) != 72:
                continue
            time = int.from_bytes(signature[:8], "big")
            said = "cosignature/v1\ntime %d\n%s" % (time, note[0])
            if not ed25519_valid(key, said.encode(), signature[8:]):
                continue
            small, large = sorted((seen, head), key=lambda each: each.size)
            same = seen.origin == head.origin
            if not same or not consistent(small.size, small.root, large.size, large.root, proof):
                raise Fault("the witness %s cosigned another history of the installation's log" % name)
            of = (plural(seen.size, "event"), name, time)
            lines.append("the installation's log of %s, cosigned by %s at %d (seconds since 1970)" % of)
    return lines


def witness_key(text):
    """((name, key id), key) of a witness's verifier key line; None for anything else."""
    line = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text.strip())
    raw = (hashes([line[3]]) or [b""])[0] if line else b""
    if len(raw) != 33 or raw[0] != 4 or sha256(line[1].encode() + b"\n" + raw)[:4].hex() != line[2]:
        raise Unreadable("--witness %s is no verifier key of a witness" % text)
    return (line[1], bytes.fromhex(line[2])), raw[1:]


def later_command(trust, key, by_run, sealed):
    """Of what the run's own keys did not seal: whoever had the installation's key may have made it up."""
    of = " of " + trust.site[key].ts if key > 0 else ""
    what = "seq 1 to %d sealed by the run itself; seq %d to %d by a later command, " % (
        by_run,
        by_run + 1,
        sealed,
    )
    return what + "with the installation's key %d" % key + of


def anchored(count):
    none = "no anchor: nobody outside has confirmed when it was signed"
    return plural(count, "anchor") + ", not verified here" if count else none


def plural(number, one, many=""):
    return "%d %s" % (number, one if number == 1 else many or one + "s")


def shown(value):
    text = value if value.isascii() and value.isalnum() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text):
    """What comes out of the file must not steer a terminal."""
    return "".join(char if char.isprintable() else "\\u%04x" % ord(char) for char in text)


# --- Reading, and the command line -----------------------------------------------------------------------


def hashes(texts):
    try:
        return [strict_base64(text) for text in texts]
    except ValueError:
        return None


def read(condition, what):
    if not condition:
        raise Unreadable("this is not a proof bundle: " + what)


def strings(value):
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def listed(document, name, **fields):
    """The objects in the list `name`, none for null."""
    found = document.get(name)
    found = [] if found is None else found
    read(
        isinstance(found, list) and all(isinstance(item, dict) for item in found),
        name + " is no list of objects",
    )
    for item in found:
        good = all(type(item.get(field)) is kind for field, kind in fields.items())
        read(good, name + ": a field is missing or of another kind")
    return found


def installation_of(document):
    found = document.get("installation")
    read(isinstance(found, dict) and strings(found.get("keys")), "installation is missing or of another kind")
    checkpoint, events = found.get("checkpoint", ""), found.get("events", [])
    sound = isinstance(checkpoint, str) and isinstance(events, list) and isinstance(found.get("key"), str)
    for event in events if sound else []:
        sound = sound and isinstance(event, dict) and isinstance(event.get("body"), str)
        sound = sound and strings(event.get("proof"))
    key = hashes([found["key"]]) if sound else None
    read(key, "installation is missing or of another kind")
    return {"key": key[0], "keys": found["keys"], "checkpoint": checkpoint, "events": events}


def read_proof(document):
    read(type(document["moat_proof"]) is int and document["moat_proof"] == 1, "another version of proofs")
    made = {"keys": [], "run_checkpoint": "", "consistency": [], **document}
    texts = [made.get(name) for name in ("origin", "checkpoint", "run_checkpoint")]
    sound = all(isinstance(text, str) for text in texts) and strings(made["keys"])
    read(sound and strings(made["consistency"]), "a part is missing or of another kind")
    made["entries"] = listed(document, "entries", seq=int, ts=str, type=str, data=dict, proof=list)
    read(all(strings(entry["proof"]) for entry in made["entries"]), "a proof is no list of texts")
    return {**made, "installation": installation_of(document)}


def read_bundle(document):
    version = document.get("version")
    read(type(version) is int and version == 1, "it has no version, or another than 1")
    made = dict(document, malformed=None, attestations=[])
    entries = listed(document, "entries", seq=int, ts=str, type=str, prev=str, hash=str)
    sound = isinstance(document.get("created_at"), str) and isinstance(document.get("last_hash"), str)
    read(sound and "entries" in document, "a part is missing or of another kind")
    read(all("data" in entry for entry in entries), "an entry lacks its data")
    made["entries"], made["anchors"] = entries, listed(document, "anchors")
    made["rekor_proofs"] = listed(document, "rekor_proofs")
    fields = {"seq": int, "root_hash": str, "timestamp": str, "signature": str, "public_key": str}
    for found in listed(document, "attestations", **fields):
        raw = hashes([found["signature"], found["public_key"]])
        if raw is not None:
            made["attestations"].append({**found, "signature": raw[0], "key": raw[1]})
        elif made["malformed"] is None:
            seq = found["seq"]
            made["malformed"] = Fault("invalid signature on attestation at seq %d" % seq, max(seq, 0))
    if any(name in document for name in TREE_KEYS):
        tree, origin = document.get("tree", {"seed": ""}), document.get("origin", "")
        sound = isinstance(origin, str) and isinstance(tree, dict) and isinstance(tree.get("seed"), str)
        sound = sound and strings(document.get("checkpoints", [])) and strings(document.get("keys", []))
        read(sound, "a part of the tree is of another kind")
        if "installation" in document:
            made["installation"] = installation_of(document)
    return made


def verify(data, pin=None, finished=False, witnesses=()):
    """The verdict on what the file's bytes are. Raises Unreadable. witnesses: what witness_key() made."""
    try:
        document = strict_json(data)
    except ValueError as error:
        raise Unreadable("this is not a proof bundle: %s" % error) from None
    read(isinstance(document, dict), "it is no JSON object")
    if "moat_proof" in document:
        return judge_proof({**read_proof(document), "pin": pin}, finished)
    bundle = Bundle({**read_bundle(document), "pin": pin})
    found = bundle.judge(finished)
    if witnesses and bundle.events is not None and found["verdict"] not in ("TAMPERED", "TRUNCATED"):
        try:
            found["rests_on"] += cosigned(bundle.document, bundle.events, dict(witnesses))
        except Fault as fault:
            found = {**found, **verdict(fault, "", False), "rests_on": []}
    return found


def parse_key(text):
    """32 bytes from hex, base64 or a verifier key line; None for anything else."""
    text = text.strip()
    line = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text)
    if re.fullmatch("[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    key = (hashes([line[3] if line else text]) or [b""])[0]
    if line:
        key = key[1:] if key[:1] == b"\x01" and key_id(line[1], key[1:]).hex() == line[2] else b""
    return key if len(key) == 32 else None


def find_key(text):
    key = parse_key(text)
    if key is None:
        try:
            with open(text, encoding="utf-8") as file:
                key = parse_key(file.read(4096))
        except (OSError, ValueError):
            pass
    if key is None or key_multiples(key) is None:
        raise Unreadable("--key %s is neither a public key nor a file that holds one" % text)
    return key


def main(arguments):
    parser = argparse.ArgumentParser(description="Verify a Moat proof bundle or a proof of single entries.")
    parser.add_argument("file", help="what `moat audit RUN --export` or `moat audit prove` wrote; -: stdin")
    parser.add_argument("--key", help="the installation's public key, or a file that holds it")
    parser.add_argument("--finished", action="store_true", help="the run is known to be over")
    parser.add_argument("--witness", action="append", default=[], help="a trusted witness's verifier key")
    parser.add_argument("--json", action="store_true", help="print JSON")
    said = parser.parse_args(arguments)
    try:
        pin = find_key(said.key) if said.key else None
        with sys.stdin.buffer if said.file == "-" else open(said.file, "rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise Unreadable("the file is larger than any proof bundle")
        found = verify(data, pin, said.finished, [witness_key(text) for text in said.witness])
    except (Unreadable, OSError) as error:
        sys.stderr.write("moat_verify: %s\n" % printable(str(error)))
        return 2
    if said.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        where = " at seq %d" % found["broken_at"] if found["broken_at"] else ""
        why = " (%s)" % found["error"] if found["error"] else ""
        grounds = ["  - " + line for line in found["rests_on"]]
        lines = found["shown"] + (["Rests on", *grounds] if grounds else [])
        for line in [*lines, "VERDICT: %s%s%s" % (found["verdict"], where, why)]:
            sys.stdout.write(printable(line) + "\n")
    return {"INTACT": 0, "OPEN": 0, "TRUNCATED": 1, "TAMPERED": 1}.get(found["verdict"], 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
