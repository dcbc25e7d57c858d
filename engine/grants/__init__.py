"""Grants: the table of providers, their tokens on the host, and the headers they become."""

from typing import TYPE_CHECKING

from engine.grants.finding import FoundToken, find_token
from engine.grants.providers import Providers, load_providers
from engine.grants.table import (
    HostRule,
    Provider,
    Source,
    Validation,
    builtin_providers,
    load_table,
    render_header,
)
from engine.grants.tokens import check_token

if TYPE_CHECKING:
    from engine.grants.validation import validate

__all__ = [
    "FoundToken",
    "HostRule",
    "Provider",
    "Providers",
    "Source",
    "Validation",
    "builtin_providers",
    "check_token",
    "find_token",
    "load_providers",
    "load_table",
    "render_header",
    "validate",
]


def __getattr__(name: str) -> object:
    if name == "validate":  # it brings asyncio, ssl and an HTTP client, which reading the table does not need
        from engine.grants.validation import validate

        return validate
    raise AttributeError(f"engine.grants has no {name!r}")
