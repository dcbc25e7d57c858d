"""The network policies, and the one question the rest of Moat asks of them."""

from __future__ import annotations

PERMISSIVE = "permissive"  # every host; rules can deny
STRICT = "strict"  # only what is named
ASK = "ask"  # what is named; the rest is put to a person

POLICIES = (PERMISSIVE, STRICT, ASK)


def is_isolated(policy: str) -> bool:
    """Whether the container has no way out but the proxy, and names are the proxy's alone to resolve.

    Everything but `permissive`: a policy that is not known is never the open one.
    """
    return policy != PERMISSIVE
