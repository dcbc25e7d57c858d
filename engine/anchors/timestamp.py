"""RFC 3161 timestamps: an authority signs that a head existed at its time (https://www.rfc-editor.org/rfc/rfc3161).

The body is JSON: `note`, the checkpoint it is of, and `response`, the authority's answer (DER in base64), as
`openssl ts -verify` takes it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.util
from pathlib import Path

import msgspec

from engine.anchors.head import Anchored, AnchorFailed, Head, Kind
from engine.anchors.http import post
from engine.events import timestamp


class Stamp(msgspec.Struct, frozen=True):
    note: str
    response: str


class TimestampAuthority:
    kind: Kind = "rfc3161"

    def __init__(self, url: str, ca: Path) -> None:
        """ca: PEM with the authority's root certificates, and intermediate ones that it does not send."""
        self.place = url
        self._ca = ca

    async def anchor(self, head: Head, before: Anchored) -> str:
        _require_library()
        from rfc3161_client import TimestampRequestBuilder

        request = TimestampRequestBuilder().data(_digested(head.note)).build()
        reply = await post(self.place, request.as_bytes(), {"Content-Type": "application/timestamp-query"})
        if reply.status != 200:
            raise AnchorFailed(f"the timestamp authority {self.place} answered {reply.status}")
        body = msgspec.json.encode(Stamp(head.note, base64.b64encode(reply.body).decode())).decode()
        stamped_at(body, self._ca, nonce=request.nonce)
        return body


def stamped_at(body: str, ca: Path, nonce: int | None = None) -> str:
    """When, RFC 3339 UTC, by the authority that `ca` vouches for. Raises AnchorFailed when it is not so."""
    _require_library()
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    roots: list[x509.Certificate] = []
    intermediates: list[x509.Certificate] = []
    try:
        stamp = msgspec.json.decode(body, type=Stamp)
        response = decode_timestamp_response(base64.b64decode(stamp.response, validate=True))
        for certificate in x509.load_pem_x509_certificates(ca.read_bytes()):
            (roots if certificate.issuer == certificate.subject else intermediates).append(certificate)
        builder = VerifierBuilder(roots=roots, intermediates=intermediates, nonce=nonce)
        builder.build().verify_message(response, _digested(stamp.note))
        return timestamp(response.tst_info.gen_time)
    except OSError as error:
        raise AnchorFailed(f"{ca} cannot be read: {error.strerror}") from error
    except (VerificationError, msgspec.MsgspecError, RecursionError, binascii.Error, ValueError) as error:
        raise AnchorFailed(f"the timestamp does not hold: {error}") from error


def _digested(note: str) -> bytes:
    """The stamped message: the checkpoint's own text, without anybody's signatures."""
    return (note.partition("\n\n")[0] + "\n").encode()


def digest(note: str) -> bytes:
    """SHA-256 of what is stamped and anchored, 32 bytes."""
    return hashlib.sha256(_digested(note)).digest()


def _require_library() -> None:
    if importlib.util.find_spec("rfc3161_client") is None:
        raise AnchorFailed(
            "timestamps need rfc3161-client, which is not installed beside Moat",
            remedy="Install it: pip install 'moat[timestamps]'",
        )
