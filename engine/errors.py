"""Every error Moat raises on purpose.

    MoatError                      what happened, to what, what to do; exit code 125
     ├─ UsageError                 the person asked for something that makes no sense; exit code 2
     ├─ ConfigError                agent.yaml, moat.yaml, config.yaml, providers/*.yaml: file, line, key
     ├─ HomeError                  ~/.moat: wrong kind of file, symlink, permission, full disk
     ├─ RunNotFound                no run, or more than one, answers to that name
     ├─ RunStateError              the run exists but cannot do this now
     ├─ ApprovalNeeded             agent.yaml asks for more than the last approved run
     ├─ GrantError                 a grant that does not exist or cannot be used
     │   └─ UnknownProvider
     ├─ CredentialError            the encrypted store
     │   ├─ CredentialMissing
     │   ├─ CredentialUnreadable   flipped, swapped, truncated, sealed with another key
     │   └─ KeychainError          locked, failing, or lost while sealed files exist
     ├─ SecretError                a reference to a secret that could not be resolved
     ├─ AuditError                 audit.db or a proof bundle
     │   └─ AuditGateClosed        an entry could not be made durable; nothing may be released
     ├─ ProxyError                 the proxy could not start or bind
     └─ RuntimeFailure             Docker and its kin
         ├─ RuntimeUnavailable     the runtime asked for does not answer
         ├─ SandboxUnavailable     gVisor is needed and not there
         ├─ ImageUnavailable       no such image, and it cannot be pulled
         └─ ContainerFailed        the daemon refused to create or start the container

The command line prints an error in at most three lines (what, where or why, remedy). A message never
holds a credential value: callers pass names, paths and hosts only.
"""

from __future__ import annotations

from pathlib import Path


class MoatError(Exception):
    """Something Moat can explain.

    what: one sentence, what happened and to what.
    remedy: one sentence, what the person can do; empty when nothing can be done.
    detail: the underlying reason, e.g. the daemon's own words; empty when `what` says it all.
    """

    exit_code: int = 125

    def __init__(self, what: str, *, remedy: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.detail = detail

    def lines(self) -> list[str]:
        """One to three lines, without control characters, for a terminal or a message box."""
        return [" ".join(part.split()) for part in (self.what, self.detail, self.remedy) if part.strip()]

    def __str__(self) -> str:
        """All of it on one line, for places that have only one."""
        *rest, last = self.lines() or [""]
        return "".join(part.removesuffix(".") + ". " for part in rest) + last


class UsageError(MoatError):
    """field: which argument of the call is wrong; "" when it is none alone."""

    exit_code = 2

    def __init__(self, what: str, *, field: str = "", remedy: str = "", detail: str = "") -> None:
        super().__init__(what, remedy=remedy, detail=detail)
        self.field = field


class ConfigError(MoatError):
    """A configuration file that cannot be used; `line` counts from 1, 0 when it is not known."""

    def __init__(
        self, what: str, *, file: Path, line: int = 0, key: str = "", remedy: str = "", detail: str = ""
    ) -> None:
        where = f"{file}:{line}" if line else str(file)
        super().__init__(f"{where}: {what}", remedy=remedy, detail=detail)
        self.file = file
        self.line = line
        self.key = key


class HomeError(MoatError):
    pass


class RunNotFound(MoatError):
    pass


class RunStateError(MoatError):
    pass


class ApprovalNeeded(MoatError):
    """agent.yaml asks for more than was last approved; `asks` holds one readable line per new wish."""

    def __init__(self, what: str, *, asks: tuple[str, ...], remedy: str = "") -> None:
        super().__init__(what, remedy=remedy, detail="; ".join(asks))
        self.asks = asks


class GrantError(MoatError):
    pass


class UnknownProvider(GrantError):
    pass


class CredentialError(MoatError):
    pass


class CredentialMissing(CredentialError):
    pass


class CredentialUnreadable(CredentialError):
    pass


class KeychainError(CredentialError):
    pass


class SecretError(MoatError):
    """Names the reference and the variable, never a value."""


class AuditError(MoatError):
    pass


class AuditGateClosed(AuditError):
    pass


class ProxyError(MoatError):
    pass


class RuntimeFailure(MoatError):
    pass


class RuntimeUnavailable(RuntimeFailure):
    pass


class SandboxUnavailable(RuntimeFailure):
    pass


class ImageUnavailable(RuntimeFailure):
    pass


class ContainerFailed(RuntimeFailure):
    pass


def first_moat_error(error: BaseException) -> MoatError | None:
    """The explained error inside a task group's bundle, where there is one."""
    if isinstance(error, MoatError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            found = first_moat_error(inner)
            if found is not None:
                return found
    return None
