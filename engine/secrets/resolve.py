"""All secrets of a run at once; the first that fails stops the run before anything of it exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from engine.config.secret_reference import Reference, parse_reference
from engine.errors import SecretError
from engine.secrets.backends import read_secret

_MASKABLE = 4  # characters; blotting out a shorter value would hit innocent text everywhere
_MASKABLE_LINE = 8
_AT_ONCE = 8


class Resolved:
    """The secrets of one run, by variable. Holds values: never logged, never encoded."""

    def __init__(self, values: Mapping[str, str], references: Mapping[str, Reference]) -> None:
        self.values = dict(values)
        self.references = dict(references)

    def __repr__(self) -> str:
        return f"Resolved({', '.join(sorted(self.values))})"

    @property
    def masked(self) -> tuple[str, ...]:
        """What must not be written down: the values, and each longer line of those that have several."""
        found: list[str] = []
        for value in self.values.values():
            if len(value) >= _MASKABLE:
                found.append(value)
            lines = value.splitlines()
            if len(lines) > 1:
                found += [line for line in lines if len(line) >= _MASKABLE_LINE]
        return tuple(dict.fromkeys(found))

    @property
    def too_short(self) -> tuple[str, ...]:
        """Variables whose value is too short to be blotted out of logs."""
        return tuple(sorted(name for name, value in self.values.items() if len(value) < _MASKABLE))


async def resolve_secrets(
    wanted: Mapping[str, str], read: Callable[[Reference], str] = read_secret
) -> Resolved:
    """`wanted` maps variables to references, which were checked. Raises the first SecretError.

    Values come without the white space around them, and never empty.
    """
    references = {name: parse_reference(text) for name, text in wanted.items()}
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str, reference: Reference) -> tuple[str, str]:
        async with places:
            value = (await asyncio.to_thread(read, reference)).strip()
        if not value or "\0" in value:
            problem = "holds a NUL character" if value else "is empty"
            raise SecretError(
                f"the secret {reference}, wanted as {name}, {problem}",
                remedy="Store a value there, or remove it from `secrets`.",
            )
        return name, value

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, reference)) for name, reference in references.items()]
    except* SecretError as errors:
        first = errors.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return Resolved(dict(task.result() for task in tasks), references)
