"""Whether a CONNECT may begin a tunnel, before anything is sent through it."""

from __future__ import annotations

from engine.proxy.decision import Decision
from engine.proxy.destination import BadDestination, parse_authority
from engine.proxy.dial import Dialer, DialRefused
from engine.proxy.policy import Policy, decide_tunnel


def judge_connect(authority: str, policy: Policy, dialer: Dialer) -> Decision:
    """`destination` is set but for nonsense. An address that would not be dialled is refused here already."""
    try:
        destination = parse_authority(authority)
    except BadDestination as error:
        return Decision(
            False, None, None, 400, "malformed", f"The CONNECT request names {error}.", "Send HOST:PORT."
        )
    decision = decide_tunnel(destination, policy)
    try:
        if decision.allowed and destination.ip:
            dialer.check_literal(destination.host, destination.port)
    except DialRefused as error:
        return Decision(False, destination, None, 403, error.rule, error.message, error.remedy)
    return decision
