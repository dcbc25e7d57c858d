"""Room for as many connections as a run may have, among the files that this process may have open."""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 4096  # 1,000 connections from the agent, as many to upstreams, and what the run has open itself


def allow_open_files(enough: int = ENOUGH) -> None:
    """Raise the soft limit to `enough`, or as far as the hard one lets. Shells and systems start with 1,024,
    for programs that use select(2); this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # then it serves as many as it can
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
