"""Ids and names of runs."""

from __future__ import annotations

import re
import secrets

from engine.errors import UsageError

ID_PREFIX = "run_"

_FIRST = """
    amber brisk calm clear cosy dapper eager early fair fleet gentle golden hardy hazel jolly keen
    lively lucid mellow merry mild neat nimble noble placid plain proud quick quiet ready sage sandy
    silver snug spry steady stout sunny swift tidy true upbeat vivid warm wise witty young zesty
""".split()  # noqa: SIM905
_SECOND = """
    alder badger beaver birch bison cedar crane curlew dipper eider elm falcon fern finch fox gannet
    hare hawk heron hazel ibex jay kestrel lark lichen linnet lynx maple marten merlin moss newt oak
    osprey otter owl pike plover quail raven robin rowan seal shrew sorrel stoat swift teal tern
    thrush trout vole wren yew
""".split()  # noqa: SIM905
_ID = re.compile(f"{ID_PREFIX}[A-Za-z0-9_]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def new_run_id() -> str:
    """`run_` and twelve hex digits: unguessable is not needed, unique is."""
    return ID_PREFIX + secrets.token_hex(6)


def is_run_id(name: str) -> bool:
    """Whether a directory of this name can be a run's; a person's copy beside them is none."""
    return _ID.fullmatch(name) is not None


def new_run_name() -> str:
    """Two words a person can say; not unique, the id is."""
    return f"{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}"


def check_run_name(name: str) -> str:
    """`name` itself; raises UsageError when it could be taken for a path, an option or an id."""
    if not _NAME.fullmatch(name) or name.startswith(ID_PREFIX):
        raise UsageError(
            f"not a name for a run: {name!r}",
            remedy="Use letters, digits, '.', '_' and '-', at most 63, starting with a letter or digit, "
            f"and not with {ID_PREFIX!r}.",
        )
    return name
