"""`network.rules` as people write them: hosts, each alone or with its rules.

    - pypi.org                             every request to it
    - api.github.com:
        - allow GET /repos/my-org/**       the first rule that matches decides
        - deny * /**

A rule is `allow` or `deny`, a METHOD (or several with commas, or `*`) and a path. `*` stands for any text
within one segment of a path, `**` for any number of whole segments. In a host, `*.` in front stands for
one or more labels, any other `*` for exactly one.
"""

from __future__ import annotations

import re

import msgspec

from engine.config.hosts import parse_host_pattern
from engine.config.values import Value, shown
from engine.config.yaml_tree import Mapping
from engine.errors import UsageError

MAX_SEGMENTS = 32  # of a rule's path

_RULE = re.compile(r"(allow|deny)(?:\s+(\S+)(?:\s+(\S+))?)?")
_METHODS = re.compile(r"\*|[A-Z][A-Z0-9-]{0,30}(,[A-Z][A-Z0-9-]{0,30})*")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_REMEDY = "Write it as `allow GET /path/**` or `deny * /**`."


class RequestRule(msgspec.Struct, frozen=True):
    """methods: upper case; empty means any. path: a pattern that begins with `/`."""

    allow: bool
    methods: tuple[str, ...] = ()
    path: str = "/**"

    def __str__(self) -> str:
        return f"{'allow' if self.allow else 'deny'} {','.join(self.methods) or '*'} {self.path}"


class HostRules(msgspec.Struct, frozen=True):
    """One entry. host: a pattern with or without port; rules: in order, empty means all is allowed."""

    host: str
    rules: tuple[RequestRule, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}: {'; '.join(map(str, self.rules))}" if self.rules else self.host


def parse_rule(text: str) -> RequestRule:
    """Raises UsageError saying what was expected."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"expected allow or deny, a method and a path, found {shown(text)}", remedy=_REMEDY)
    verb, methods, path = match[1], match[2] or "*", match[3] or "/**"
    if not _METHODS.fullmatch(methods):
        raise UsageError(f"expected a method in capitals, or *, found {shown(methods)}", remedy=_REMEDY)
    if problem := path_problem(path):
        raise UsageError(f"{problem}, found {shown(path)}", remedy=_REMEDY)
    return RequestRule(verb == "allow", () if methods == "*" else tuple(methods.split(",")), path)


def path_problem(path: str) -> str:
    """A path that no request could have would make a rule that never holds, and nobody would know."""
    if not path.startswith("/"):
        return "expected a path that begins with /"
    if not _PATH.fullmatch(path):
        return "expected a path of plain characters, others as %XX, without ?, #, ; and backslashes"
    segments = path[1:].split("/")
    if len(segments) > MAX_SEGMENTS:
        return f"expected a path of at most {MAX_SEGMENTS} segments"
    if "" in segments[:-1]:
        return "expected a path without //"
    if any(segment in (".", "..") for segment in segments):
        return "expected a path without . and .. segments"
    if any("**" in segment and segment != "**" for segment in segments):
        return "expected ** as a whole segment"
    if re.search(r"%(2[EeFf5]|5[Cc]|3[BbFf]|23|[01]|7[Ff])", path):
        return "expected a path without encoded dots, slashes, control characters and the like"
    return ""


def parse_rule_host(text: str) -> str:
    """A host pattern in its one spelling. Raises UsageError."""
    front, labels = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    # Stars inside are each one label; with something in their place the rest is judged as ever.
    stood_in = ".".join("star" if label == "*" else label for label in labels.split("."))
    checked = str(parse_host_pattern(front + stood_in)).removeprefix(front)
    stars = [label == "*" for label in labels.split(".")]
    kept = ["*" if star else label for star, label in zip(stars, checked.split("."), strict=False)]
    if kept[-1].partition(":")[0] == "*":
        raise UsageError(
            f"expected a host that does not end in *, found {shown(text)}",
            remedy="Name at least the last label: *.example.com.",
        )
    return front + ".".join(kept)


def read_rules(value: Value) -> tuple[HostRules, ...]:
    """The value of a `rules` key. Raises ConfigError."""
    found: list[HostRules] = []
    for item in value.items("hosts, or of hosts with their rules"):
        if not isinstance(item.node, Mapping):
            found.append(HostRules(_host(item, item.text("a host, or a host with its rules"))))
            continue
        for name, inner in item.pairs("hosts to rules").items():
            rules = tuple(_rule(part) for part in inner.items("rules"))
            if not rules:
                raise inner.wrong("a list of rules", remedy=_REMEDY)
            found.append(HostRules(_host(inner, name), rules))
    return tuple(found)


def _host(value: Value, text: str) -> str:
    try:
        return parse_rule_host(text)
    except UsageError as error:
        raise value.explained(error) from None


def _rule(value: Value) -> RequestRule:
    try:
        return parse_rule(value.text("a rule such as allow GET /path/**"))
    except UsageError as error:
        raise value.explained(error) from None
