"""What a reference says: where a secret is kept, never what it is. Pure.

op://VAULT/ITEM/FIELD     1Password; also op://VAULT/ITEM/SECTION/FIELD
ssm:///PATH               AWS Systems Manager Parameter Store, in the region that AWS is configured for
ssm://REGION/PATH         the same, in that region
env://NAME                a variable of the environment that Moat was started in
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from engine.config.environment import check_env
from engine.errors import UsageError

type Backend = Literal["op", "ssm", "env"]

_SHAPES: dict[Backend, re.Pattern[str]] = {
    # No part may begin with a dash: each is an argument of a command.
    "op": re.compile(r"op://[^/\s-][^/]*(/[^/\s-][^/]*){2,3}"),
    "ssm": re.compile(r"ssm://([a-z]{2}(-[a-z]+)+-[0-9]{1,2})?(/[A-Za-z0-9_.-]+)+"),
    "env": re.compile(r"env://[A-Za-z_][A-Za-z0-9_]*"),
}
_EXAMPLES = "op://VAULT/ITEM/FIELD, ssm:///PATH, ssm://REGION/PATH or env://NAME"
_LONGEST = 1024  # characters


class Reference(msgspec.Struct, frozen=True):
    """One reference, checked. region: of ssm, empty when AWS's own configuration says it. name: what to ask
    the backend for.
    """

    text: str
    backend: Backend
    name: str
    region: str = ""

    def __str__(self) -> str:
        return self.text


def parse_reference(text: str) -> Reference:
    """Raises UsageError, which quotes nothing: what is no reference may be the secret itself."""
    for backend, shape in _SHAPES.items():
        if len(text) <= _LONGEST and text.isprintable() and shape.fullmatch(text):
            rest = text.removeprefix(f"{backend}://")
            if backend == "op":
                return Reference(text, backend, text)
            if backend == "ssm":
                region, _, path = rest.partition("/")
                return Reference(text, backend, "/" + path, region)
            return Reference(text, backend, rest)
    raise UsageError("expected a reference to a secret, found something else", remedy=f"Write {_EXAMPLES}.")


def parse_secret_pair(text: str, where: str = "--secret") -> tuple[str, str]:
    """`NAME=REFERENCE`, checked, as (name, reference). Raises UsageError, which quotes no value."""
    name, equals, reference = text.partition("=")
    if not equals:
        raise UsageError(f"{where}: expected NAME=REFERENCE, found no '='", remedy=f"Write {_EXAMPLES}.")
    check_env({name: ""}, where)
    try:
        parse_reference(reference)
    except UsageError as error:
        raise UsageError(f"{where} {name}: {error.what}", remedy=error.remedy) from error
    return name, reference
