"""What a credential value must look like, whatever its provider."""

from __future__ import annotations

import re

from engine.errors import GrantError

_TOKEN = re.compile(r"[!-~]+")
_LONGEST = 16 * 1024
_PLACEHOLDER = re.compile(r"moat-?proxy-?injected", re.IGNORECASE)


def check_token(text: str) -> str:
    """`text` without the white space around it. Raises GrantError, which never quotes it.

    A line break inside would start a header of its own; a space or a letter outside ASCII is a sign of a
    wrong paste. Moat's own placeholder is what a container holds, so storing it would be a mistake.
    """
    token = text.strip()
    if not token:
        raise GrantError("the credential is empty", remedy="Paste the value itself, or set its variable.")
    if len(token) > _LONGEST:
        raise GrantError(
            f"the credential is longer than {_LONGEST // 1024} KiB", remedy="Give the token, not a file."
        )
    if not _TOKEN.fullmatch(token):
        raise GrantError(
            "the credential holds a space, a control character or a letter outside ASCII",
            remedy="Copy it again, alone and on one line.",
        )
    if is_placeholder(token):
        raise GrantError(
            "this is the placeholder that Moat gives to containers, not a credential",
            remedy="Get the real value from the service.",
        )
    return token


def is_placeholder(text: str) -> bool:
    """Whether it says of itself that it only stands for a credential, in whatever form."""
    return _PLACEHOLDER.search(text) is not None
