"""Every provider that can be granted here: the built-in table and the person's own `providers/*.yaml`.

A file of their own has the shape of `providers.yaml`, is read with lines and bounds, and is believed only
when nobody else could have written it. One that is wrong disables itself and nothing else. The built-in
providers cannot be redefined, and their hosts only be shared by a row that says so (`shares: [github]`):
a pasted example must not begin to send another token to a service that is granted already.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

import msgspec

from engine.config.values import shown
from engine.config.yaml_tree import Items, Mapping, Node, Scalar, read_yaml
from engine.errors import ConfigError, GrantError, HomeError, UnknownProvider
from engine.grants.npm import NPM
from engine.grants.table import LATER, Flaw, Provider, builtin_providers, flaw
from engine.home import Home

_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]")


class Providers(msgspec.Struct, frozen=True):
    """rows: by name, the built-in ones first. bad: why files were left out, one error each."""

    rows: dict[str, Provider]
    bad: tuple[ConfigError, ...] = ()

    def get(self, name: str) -> Provider:
        """Raises UnknownProvider naming the nearest, GrantError for one that comes in a later version, or
        what is wrong with the file that defines it.
        """
        if found := self.rows.get(name):
            return found
        if title := LATER.get(name.partition(":")[0]):
            raise GrantError(
                f"the grant {name[:60]!r} is not supported yet by this version of Moat",
                remedy=f"Leave {title} out for now.",
            )
        for error in self.bad:
            if name and error.key == name:
                raise error
        close = difflib.get_close_matches(name.lower(), [*self.rows, *LATER], n=1, cutoff=0.5)
        known = f"The known ones are: {', '.join(sorted(self.rows))}."
        raise UnknownProvider(
            f"there is no provider {name[:60]!r}",
            detail=f"Left out, because of a mistake: {self.bad[0].what}" if self.bad else "",
            remedy=f"Did you mean {close[0]!r}? {known}" if close else known,
        )


def load_providers(home: Home) -> Providers:
    """Never raises for a bad file: it is named in `bad`. Blocking, a few milliseconds."""
    rows = {**builtin_providers(), NPM.name: NPM}
    bad: list[ConfigError] = []
    try:
        files = _files(home)
    except ConfigError as error:
        return Providers(rows, (error,))
    for file in files:
        try:
            rows |= _read(home, file, rows)
        except ConfigError as error:
            bad.append(error)
    return Providers(rows, tuple(bad))


def _files(home: Home) -> list[Path]:
    directory = home.providers
    try:
        home.check(directory)
        _check_owner(directory)
        return sorted(
            directory / entry.name
            for entry in os.scandir(directory)
            if entry.name.endswith((".yaml", ".yml")) and not entry.name.startswith(".")
        )
    except FileNotFoundError:
        return []
    except HomeError as error:
        raise ConfigError(error.what, file=directory, remedy=error.remedy) from None
    except OSError as error:
        raise ConfigError(f"it cannot be listed: {error.strerror}", file=directory) from None


def _check_owner(path: Path) -> None:
    """Who can write here decides where credentials go, so only the person (or root) may."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError("it is a symbolic link", file=path, remedy="Put the file itself there.")
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"it belongs to another user (uid {found.st_uid})",
            file=path,
            remedy="Only your own files may say where a credential goes.",
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise ConfigError("others can write it", file=path, remedy=f"Make it yours alone: chmod go-w {path}")


def _read(home: Home, file: Path, known: dict[str, Provider]) -> dict[str, Provider]:
    """The rows of one file, all or none."""
    try:
        _check_owner(file)
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=file) from None
    tree = read_yaml(file)
    if tree is None:
        return {}
    if not isinstance(tree, Mapping):
        raise ConfigError("expected a mapping of provider names to providers", file=file, line=tree.line)
    rows: dict[str, Provider] = {}
    for entry in tree.entries:
        name, key = entry.key, shown(entry.key)
        try:
            row = msgspec.convert(_plain(entry.value), Provider)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at `$")
            line = _line(entry.value, path.removesuffix("`")) if path else entry.line
            where = key + path.removesuffix("`")
            raise ConfigError(f"{where}: {text}", file=file, line=line, key=name) from None
        if found := flaw(name, row) or _not_ones_own(name, row, known):
            line = _line(entry.value, "." + found.path) if found.path else entry.line
            raise ConfigError(f"{key}: {found.text}", file=file, line=line, key=name)
        rows[name] = msgspec.structs.replace(row, name=name, origin=str(file))
    return rows


def _not_ones_own(name: str, row: Provider, known: dict[str, Provider]) -> Flaw | None:
    """What a person's own row may not do beside the built-in ones."""
    if name in LATER or (name in known and not known[name].origin):
        return Flaw("", "that name is built in; choose another")
    if name in known:
        return Flaw("", f"that name is defined in {known[name].origin} already")
    for shared in row.shares:
        if shared not in known or known[shared].origin:
            return Flaw("shares", f"expected names of built-in providers, found {shown(shared)}")
    for index, rule in enumerate(row.hosts):
        if rule.pattern.startswith("*.") and "." not in rule.pattern[2:]:
            return Flaw(f"hosts[{index}]", f"{rule.pattern} is wider than one owner's hosts")
        for other in known.values():
            if other.origin or other.name in row.shares:
                continue
            if any(_overlap(rule.pattern, theirs.pattern) for theirs in other.hosts):
                return Flaw(
                    f"hosts[{index}]",
                    f"{rule.pattern} belongs to the built-in provider {other.name}; "
                    f"say `shares: [{other.name}]` if that is meant",
                )
    return None


def _overlap(one: str, other: str) -> bool:
    """Whether some host is covered by both patterns."""
    ends = [pattern[1:] if pattern.startswith("*.") else "" for pattern in (one, other)]
    if not any(ends):
        return one == other
    if all(ends):
        return ends[0].endswith(ends[1]) or ends[1].endswith(ends[0])
    return other.endswith(ends[0]) if ends[0] else one.endswith(ends[1])


def _plain(node: Node) -> object:
    """The tree as the values that msgspec checks against the types of the table."""
    if isinstance(node, Items):
        return [_plain(item) for item in node.nodes]
    if isinstance(node, Mapping):
        return {entry.key: _plain(entry.value) for entry in node.entries}
    return _scalar(node)


def _scalar(node: Scalar) -> object:
    match node.kind:
        case "number":
            return int(node.text) if re.fullmatch(r"[0-9]{1,15}", node.text) else float("nan")
        case "bool":
            return node.text.lower() in ("true", "yes", "on")
        case "nothing":
            return None
    return node.text


def _line(node: Node, path: str) -> int:
    """The line of `.hosts[0].pattern` below `node`, as far as that leads."""
    line = node.line
    for name, index in _STEP.findall(path):
        if name and isinstance(node, Mapping):
            entry = next((entry for entry in node.entries if entry.key == name), None)
            if entry is None:
                return line
            node, line = entry.value, entry.line
        elif index and isinstance(node, Items) and int(index) < len(node.nodes):
            node = node.nodes[int(index)]
            line = node.line
        else:
            return line
    return line
