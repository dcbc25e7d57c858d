"""Which tunnels pass as they are, because the host's clients pin its certificate. Pure.

What is not intercepted is not seen: such a tunnel never carries a credential of Moat's, so a host of any
grant is always intercepted, and the policy has to allow the host as a whole, whatever method and path.
"""

from __future__ import annotations

from engine.proxy.decision import RequestHead
from engine.proxy.destination import Destination
from engine.proxy.policy import Policy, decide

PASSTHROUGH = "passthrough"  # the rule that the log shows


def is_opaque(destination: Destination, sni: str | None, policy: Policy) -> bool:
    """Where it is not, the TLS is intercepted, and whatever is wrong is refused there for all to read."""
    if not any(pattern.matches(destination) for pattern in policy.passthrough):
        return False
    if policy.grants.covers_host(destination):
        return False
    if not policy.rules.all_alike(destination):
        return False  # what cannot be seen cannot be judged by method and path
    authority = destination.authority(443)
    head = RequestHead("GET", "/", (), (authority,), connect=destination, tls=True, sni=sni)
    return decide(head, policy).allowed
