"""Provider and profile names, and the file names they become.

Names come from agent.yaml and the command line, so they are checked before they touch a path. The colon
of `ssh:HOST` is percent-encoded; nothing else in a valid name needs it.
"""

from __future__ import annotations

import re

from engine.errors import CredentialError

SUFFIX = ".enc"
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?")
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def file_name(provider: str) -> str:
    """`github.enc`, `ssh%3Agithub.com.enc`. Raises CredentialError for what is no provider name."""
    if len(provider) > 200 or not _PROVIDER.fullmatch(provider):
        raise CredentialError(
            f"not a provider name: {provider[:60]!r}",
            remedy="Provider names are lower-case letters, digits, dots and -, such as github or ssh:HOST.",
        )
    return provider.replace(":", "%3A") + SUFFIX


def provider_name(file: str) -> str | None:
    """The provider whose file is named so, None when it is no credential file of ours."""
    if not file.endswith(SUFFIX):
        return None
    provider = file.removesuffix(SUFFIX).replace("%3A", ":")
    try:
        return provider if file_name(provider) == file else None
    except CredentialError:
        return None


def check_profile(profile: str) -> str:
    """`profile` itself; "" is the default store. Raises CredentialError."""
    if profile and not _PROFILE.fullmatch(profile):
        raise CredentialError(
            f"not a profile name: {profile[:60]!r}",
            remedy="Profile names are letters, digits, - and _, starting with a letter or digit.",
        )
    return profile
