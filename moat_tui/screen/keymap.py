"""The person's own keys: which of them can be used, and what is wrong with the others.

A key that already does something else in the same place would silently take that away, so such a wish is
refused with a message and the default stays.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key, key_to_character

type Place = Mapping[str, tuple[str, ...]]
"""The actions that can be had at once somewhere: id -> its default keys."""

_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "meta"})
_NAMED = frozenset({*(key.value for key in Keys), *KEY_NAME_REPLACEMENTS.values()})


def usable_keymap(wanted: Mapping[str, str], places: Sequence[Place]) -> tuple[dict[str, str], list[str]]:
    """(what can be set, one sentence for each wish that cannot)."""
    known = {name for place in places for name in place}
    usable: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for name, text in wanted.items():
        keys = tuple(_key(key) for key in text.split(","))
        nameless = next((key for key in keys if not _is_key(key)), "")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"no action is called {name}" + (f"; did you mean {near[0]}?" if near else ""))
        elif nameless:
            problems.append(f"{name}: no key is called {nameless}")
        else:
            usable[name] = keys
    while (clash := _clash(usable, places)) is not None:
        name, key, other = clash
        del usable[name]  # its default comes back, which can clash with another wish: look again
        problems.append(f"{name}: {key} is already {other} there")
    return {name: ",".join(keys) for name, keys in usable.items()}, problems


def _clash(usable: Mapping[str, tuple[str, ...]], places: Sequence[Place]) -> tuple[str, str, str] | None:
    for name, keys in usable.items():
        for place in places:
            if name not in place:
                continue
            for other, default in place.items():
                if other == name:
                    continue
                for key in keys:
                    shared_before = key in default and key in place[name]
                    if key in usable.get(other, default) and not shared_before:
                        return name, key, other
    return None


def _key(text: str) -> str:
    return _character_to_key(text) if len(text) == 1 else text


def _is_key(key: str) -> bool:
    *modifiers, base = key.split("+")
    if not _MODIFIERS.issuperset(modifiers):
        return False
    return key in _NAMED or base in _NAMED or len(base) == 1 or key_to_character(base) is not None


def all_places() -> list[Place]:
    """Every place of the screen where keys work. Imports all of the screen's modules."""
    package = importlib.import_module("moat_tui.screen")
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(package.__path__, "moat_tui.screen.")
    ]
    classes = {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and "BINDINGS" in vars(value)
    }
    own = {name: _own(value) for name, value in classes.items()}
    app = own["moat_tui.screen.app.MoatApp"]
    main = own["moat_tui.screen.main_screen.MainScreen"]
    widgets = [keys for name, keys in own.items() if ".widgets." in name] or [{}]
    places: list[Place] = []
    for name, keys in own.items():
        if ".widgets." in name:
            continue
        around = {**app, **main} if ".panes." in name else app
        places += [{**around, **keys, **widget} for widget in widgets]
    return places


def _own(place: type) -> dict[str, tuple[str, ...]]:
    bindings: Iterable[object] = vars(place)["BINDINGS"]
    return {
        binding.id: tuple(_key(key.strip()) for key in binding.key.split(","))
        for binding in bindings
        if isinstance(binding, Binding) and binding.id
    }
