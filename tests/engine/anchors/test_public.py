"""Timestamps by a real `openssl ts`, and verified by it; Rekor by a log that answers as documented."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from support.timestamp_authority import listening, timestamp_authority

from engine.anchors.head import Anchored, AnchorFailed, Head
from engine.anchors.rekor import Rekor, included_in
from engine.anchors.timestamp import TimestampAuthority, stamped_at
from engine.audit import Signer
from engine.audit.checkpoint import Checkpoint
from engine.audit.merkle import inclusion_proof, leaf_hash, root_of
from engine.audit.note import NoteKey

type Grown = Callable[[int], Head]

REKOR = Signer(bytes(31) + b"r")
REKOR_NAME = "log.rekor.test"
REKOR_KEY = NoteKey(REKOR_NAME, REKOR.public_key)


async def test_a_timestamp_holds_for_that_head_only(tmp_path: Path, grown: Grown):
    async with timestamp_authority(tmp_path) as tsa:
        place = TimestampAuthority(tsa.url + "/", tsa.ca)
        body = await place.anchor(grown(5), Anchored("rfc3161", tsa.url))
    assert stamped_at(body, tsa.ca).endswith("Z")
    stamp = json.loads(body)
    with pytest.raises(AnchorFailed):
        stamped_at(json.dumps({**stamp, "note": grown(6).note}), tsa.ca)
    # And by the tool that everybody has.
    (tmp_path / "response").write_bytes(base64.b64decode(stamp["response"]))
    (tmp_path / "text").write_text(grown(5).checkpoint.text())
    verify = ["openssl", "ts", "-verify", "-data", "text", "-in", "response", "-CAfile", "ca.pem"]
    await asyncio.to_thread(subprocess.run, verify, cwd=tmp_path, check=True, capture_output=True)


async def test_a_timestamp_by_a_stranger_is_none(tmp_path: Path, grown: Grown):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        timestamp_authority(tmp_path / "one") as one,
        timestamp_authority(tmp_path / "two") as two,
    ):
        with pytest.raises(AnchorFailed, match="does not hold"):
            await TimestampAuthority(one.url + "/", two.ca).anchor(grown(5), Anchored("rfc3161", ""))


class FakeRekor:
    """A log of 7 other entries; checks a request as the real one does, and answers in its form."""

    def __init__(self) -> None:
        self.leaves = [leaf_hash(b"%d" % number) for number in range(7)]
        self.seen: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        asked = (await request.json())["hashedRekordRequestV002"]
        signature, verifier = asked["signature"], asked["signature"]["verifier"]
        assert verifier["keyDetails"] == "PKIX_ECDSA_P256_SHA_256"
        key = serialization.load_der_public_key(base64.b64decode(verifier["publicKey"]["rawBytes"]))
        digest = base64.b64decode(asked["digest"])
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(base64.b64decode(signature["content"]), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        self.seen.append(digest)
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": signature}}
        entry = {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}
        body = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        self.leaves.append(leaf_hash(body))
        index, size = len(self.leaves) - 1, len(self.leaves)
        note = Checkpoint(REKOR_NAME, size, root_of(self.leaves)).sign(REKOR)
        proof = [base64.b64encode(part).decode() for part in inclusion_proof(self.leaves, index)]
        return web.json_response(
            {
                "logIndex": str(index),
                "logId": {"keyId": base64.b64encode(hashlib.sha256(b"x").digest()).decode()},
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                "integratedTime": "0",
                "inclusionPromise": None,
                "inclusionProof": {
                    "logIndex": str(index),
                    "rootHash": "",
                    "treeSize": str(size),
                    "hashes": proof,
                    "checkpoint": {"envelope": str(note)},
                },
                "canonicalizedBody": base64.b64encode(body).decode(),
            },
            status=201,
        )


async def test_a_digest_is_proven_in_rekor(grown: Grown):
    rekor = FakeRekor()
    async with listening("/api/v2/log/entries", rekor.answer) as url:
        body = await Rekor(url, REKOR_KEY).anchor(grown(5), Anchored("rekor", url))
        assert rekor.seen == [hashlib.sha256(grown(5).checkpoint.text().encode()).digest()]
        assert included_in(body, REKOR_KEY) == 7
        other = NoteKey(REKOR_NAME, Signer(bytes(32)).public_key)
        with pytest.raises(AnchorFailed, match="not signed by"):
            await Rekor(url, other).anchor(grown(6), Anchored("rekor", url))


@pytest.mark.parametrize("what", ["note", "index", "proof", "body", "kind"])
async def test_what_rekor_did_not_prove(grown: Grown, what: str):
    rekor = FakeRekor()
    async with listening("/api/v2/log/entries", rekor.answer) as url:
        kept = json.loads(await Rekor(url, REKOR_KEY).anchor(grown(5), Anchored("rekor", url)))
    entry = kept["entry"]
    match what:
        case "note":
            kept["note"] = grown(6).note
        case "index":
            entry["logIndex"] = "6"
        case "proof":
            entry["inclusionProof"]["hashes"].pop()
        case "body":
            entry["canonicalizedBody"] = base64.b64encode(b"{}").decode()
        case "kind":
            entry["logIndex"] = "a few"
    with pytest.raises(AnchorFailed):
        included_in(json.dumps(kept), REKOR_KEY)


async def test_a_service_that_refuses_says_why(grown: Grown):
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=429, text="slow\x1b[31m down\nmore")

    async with listening("/api/v2/log/entries", refuse) as url:
        with pytest.raises(AnchorFailed, match=r"429: slow\?\[31m down$"):
            await Rekor(url, REKOR_KEY).anchor(grown(5), Anchored("rekor", url))
