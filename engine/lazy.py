"""Package exports that load on first use, so that a command pays only for what it touches."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def exports(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """A module's `__getattr__` for `package`.

    homes: module -> the names it gives; a module starting with "." is one of the package's own. The same
    names stand under TYPE_CHECKING in the package, where type checkers and editors read them.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> object:
        module = home_of.get(name)
        if module is None:
            raise AttributeError(f"{package} has no {name!r}")
        return getattr(importlib.import_module(module, package), name)

    return load
