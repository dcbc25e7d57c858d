"""What passes through a tunnel to an SSH server of a grant: SSH, and nothing else. Pure.

What is said in such a tunnel is not seen, so it is no general way out: it exists only to the servers that
a person granted, and both sides have to begin as SSH does (RFC 4253 §4.2).
"""

from __future__ import annotations

SSH = "ssh"  # the rule that the log shows
SSH_PORT = 22
# A server may send other lines before it, and an old one says 1.99; neither is met any more.
IDENTIFICATION = b"SSH-2.0-"


def speaks_ssh(beginning: bytes | bytearray) -> bool | None:
    """Whether one side's first bytes are SSH's; None while there are too few to tell."""
    seen = bytes(beginning[: len(IDENTIFICATION)])
    if not IDENTIFICATION.startswith(seen):
        return False
    return True if seen == IDENTIFICATION else None
