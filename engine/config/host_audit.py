"""`audit:` of ~/.moat/config.yaml: where the installation's log is anchored, so that it cannot be rewritten.

witnesses    list of: a directory; `git: REMOTE`; `url: URL` with `key: VERIFIER KEY` (C2SP tlog-witness)
timestamps   url of an RFC 3161 authority, and ca: a PEM file to trust it by
rekor        url of a Rekor v2 log, and key: its verifier key
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.config.host import HostAudit, HostRekor, HostTimestamps, HostWitness
from engine.config.values import Value
from engine.config.yaml_tree import Mapping

KEYS = ("witnesses", "timestamps", "rekor")
_URL = re.compile(r"https?://[^\s/]+\S*")
_USER = re.compile(r"([a-z+]+)://([^/\s]*)@", re.IGNORECASE)
_KEY = re.compile(r"[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*")
_KEY_FORM = "a verifier key: NAME+8 HEX DIGITS+BASE64"
_REMOTE = re.compile(r"[^\s-]\S*")


def read_host_audit(section: Value) -> HostAudit:
    """Raises ConfigError with file, line and key."""
    keys = section.section(KEYS)
    witnesses = keys["witnesses"].items("witnesses") if "witnesses" in keys else []
    return HostAudit(
        witnesses=tuple(_witness(item) for item in witnesses),
        timestamps=_timestamps(keys["timestamps"]) if "timestamps" in keys else None,
        rekor=_rekor(keys["rekor"]) if "rekor" in keys else None,
    )


def _witness(item: Value) -> HostWitness:
    if not isinstance(item.node, Mapping):
        return HostWitness(directory=_path(item, "a directory"))
    keys = item.section(("directory", "git", "url", "key"))
    kinds = [name for name in ("directory", "git", "url") if name in keys]
    if len(kinds) != 1 or ("key" in keys) != (kinds == ["url"]):
        raise item.refused("expected a directory, or `git: REMOTE`, or `url: URL` with its `key:`")
    match kinds[0]:
        case "directory":
            return HostWitness(directory=_path(keys["directory"], "a directory"))
        case "git":
            return HostWitness(git=_open(keys["git"], keys["git"].matching(_REMOTE, "a git remote")))
    return HostWitness(
        url=_url(keys["url"], "a URL such as https://witness.example.com"),
        key=keys["key"].matching(_KEY, _KEY_FORM),
    )


def _url(value: Value, form: str) -> str:
    return _open(value, value.matching(_URL, form))


def _open(value: Value, place: str) -> str:
    """Places are named in proof bundles, which are given away."""
    user = _USER.match(place)
    if user is not None and (user[1].lower().startswith("http") or ":" in user[2]):
        raise value.refused(
            "a place that is named in every proof bundle must not hold a user or password",
            remedy="Leave it to git's credential helper, or to an SSH key.",
        )
    return place


def _path(value: Value, what: str) -> str:
    path = Path(value.text(what)).expanduser()
    if not path.is_absolute():
        raise value.wrong(f"the whole path of {what}", remedy="Begin it with / or ~/.")
    return str(path)


def _timestamps(value: Value) -> HostTimestamps:
    keys = value.section(("url", "ca"))
    if len(keys) != 2:
        raise value.refused("expected `url:` of an authority and `ca:`, a PEM file to trust it by")
    return HostTimestamps(_url(keys["url"], "a URL"), _path(keys["ca"], "a PEM file"))


def _rekor(value: Value) -> HostRekor:
    keys = value.section(("url", "key"))
    if len(keys) != 2:
        raise value.refused("expected `url:` of a Rekor v2 log and its `key:`")
    return HostRekor(_url(keys["url"], "a URL"), keys["key"].matching(_KEY, _KEY_FORM))
