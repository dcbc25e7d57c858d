"""What Moat itself answers, in plain text that an agent and a person can act on."""

from __future__ import annotations

import msgspec

from engine.proxy.decision import Decision


class Answer(msgspec.Struct, frozen=True):
    """A response made here. rule: the short name that the log shows. denied: policy, not a failure."""

    status: int
    rule: str
    text: str
    denied: bool = False
    challenge: bool = False  # 407: asks for proxy credentials
    why: str = ""  # the one sentence of `text` that gives the reason
    kind: str = "text/plain; charset=utf-8"
    private: bool = False  # what was asked for, which is for the agent alone and is not recorded

    def headers(self) -> list[tuple[bytes, bytes]]:
        fields = [
            (b"content-type", self.kind.encode("ascii")),
            (b"content-length", b"%d" % len(self.body())),
            (b"cache-control", b"no-store"),
            (b"x-moat-decision", b"denied" if self.denied else b"allowed" if self.private else b"failed"),
        ]
        if self.rule:
            fields.append((b"x-moat-rule", self.rule.encode("ascii")))
        if self.challenge:
            fields.append((b"proxy-authenticate", b'Basic realm="moat"'))
        return fields

    def body(self) -> bytes:
        return self.text.encode("utf-8")


REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    407: b"Proxy Authentication Required",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


def denial(decision: Decision) -> Answer:
    host = str(decision.destination) if decision.destination else "unknown"
    return refusal(decision.status, decision.rule, host, decision.message, decision.remedy)


def refusal(status: int, rule: str, host: str, message: str, remedy: str) -> Answer:
    lines = [f"Moat refused this request ({status}).", f"host: {host}", f"rule: {rule}", f"why: {message}"]
    if remedy:
        lines.append(f"remedy: {remedy}")
    return Answer(status, rule, "\n".join(lines) + "\n", denied=True, why=message)


def failure(status: int, rule: str, host: str, message: str, remedy: str = "") -> Answer:
    lines = [f"Moat could not complete this request ({status}).", f"host: {host}", f"why: {message}"]
    if remedy:
        lines.append(f"remedy: {remedy}")
    return Answer(status, rule, "\n".join(lines) + "\n", why=message)


UNAUTHENTICATED = Answer(
    407,
    "proxy-auth",
    "Moat's proxy needs this run's user and password.\n"
    "remedy: use the proxy URL from HTTPS_PROXY as it stands, credentials included.\n",
    denied=True,
    challenge=True,
)

NOT_RECORDED = (
    503,
    "audit",
    "The audit log could not be written, and no credential leaves unrecorded.",
    "Look at the run's log on the host: the disk may be full.",
)

APPROVAL_NOT_RECORDED = (
    503,
    "audit",
    "The audit log could not be written, and nothing that a person allows leaves unrecorded.",
    "Look at the run's log on the host: the disk may be full.",
)

INTERNAL = Answer(500, "internal", "Moat's proxy failed while it handled this request; nothing was sent.\n")

# OpenSSL's words for a failed verification (crypto/x509/x509_txt.c) → what to tell
_VERIFY = (
    ("certificate has expired", "expired", "its certificate has expired"),
    ("not yet valid", "not-yet-valid", "its certificate is not valid yet"),
    ("ostname mismatch", "wrong-name", "its certificate is for another name"),
    ("IP address mismatch", "wrong-name", "its certificate is for another address"),
    ("self-signed", "unknown-issuer", "its certificate is self-signed or its issuer is unknown"),
    ("self signed", "unknown-issuer", "its certificate is self-signed or its issuer is unknown"),
    ("unable to get local issuer", "unknown-issuer", "the issuer of its certificate is unknown"),
    ("unable to verify the first", "unknown-issuer", "the issuer of its certificate is unknown"),
    ("unable to get issuer", "unknown-issuer", "the issuer of its certificate is unknown"),
    ("revoked", "revoked", "its certificate was revoked"),
)


def upstream_failure(host: str, error: str) -> Answer:
    """502 for what dialling or the TLS handshake reported; `error` is OpenSSL's or the dialler's text."""
    if "verify failed" in error:
        rule, words = next(
            ((rule, words) for needle, rule, words in _VERIFY if needle in error),
            ("bad-certificate", "its certificate did not verify"),
        )
        return failure(
            502,
            f"upstream-{rule}",
            host,
            f"{host} could not prove who it is: {words}. Nothing was sent to it.",
            "If the host is meant to have a certificate of its own making, name its CA on the host: "
            "moat run --upstream-ca FILE.",
        )
    if "does not speak TLS" in error or "wrong version number" in error:
        words = "it does not speak TLS"
    elif error.startswith("OpenSSL") or "alert" in error:
        words = "no TLS version or cipher could be agreed on"
    elif error.startswith("connection closed"):
        words = "it closed the connection before TLS was set up"
    else:
        words = error[:200] or "it cannot be reached"
    return failure(
        502, "upstream-unreachable", host, f"{host} cannot be reached: {words}. Nothing was sent to it."
    )
