"""What a run's grant is narrowed to: from a form's fields to the grant's text, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from moat_tui.screen.models.form_error import FormError

FIELDS = ("methods", "paths", "max_requests", "expires_in")
"""The limits by their names in the grant's text. Ids of their fields have - for _."""

_WHOLE = {
    "aws": "A role has no scopes and no limits: give it a session policy instead (Grants pane, r).",
    "ssh": "An SSH grant has no scopes and no limits: it logs in at one host only.",
}


def narrow_fields(text: str) -> dict[str, str]:
    """Scope and limits of a grant, as they are typed; "" for what it has not."""
    from engine import parse_grant

    wish = parse_grant(text)
    limits = wish.limits
    return {
        "scope": wish.scope,
        "methods": " ".join(limits.methods),
        "paths": " ".join(limits.paths),
        "max_requests": str(limits.max_requests or ""),
        "expires_in": limits.expires_in,
    }


def narrowed(provider: str, scope: str, typed: Mapping[str, str]) -> str:
    """The grant's text, `github:ro;max_requests=100`. Raises FormError for the first field that is wrong."""
    from engine import UsageError, parse_grant

    parts = [f"{provider}:{scope}" if scope else provider]
    for name in FIELDS:
        value = "|".join(re.split(r"[\s|]+", typed.get(name, "").strip()))
        if not value:
            continue
        try:
            parse_grant(f"{provider};{name}={value}")
        except UsageError as error:
            raise FormError(name.replace("_", "-"), str(error)) from None
        parts.append(f"{name}={value}")
    return str(parse_grant(";".join(parts)))


def why_whole(grant: str) -> str:
    """Why this grant can only be given whole; "" when it can be narrowed."""
    return _WHOLE.get(re.split(r"[:;]", grant)[0], "")


def by_provider(grants: Iterable[str]) -> list[str]:
    """Each once, those of one provider together, in the order of first mention."""
    from engine import grant_provider

    names = list(dict.fromkeys(grants))
    places: dict[str, int] = {}
    for name in names:
        places.setdefault(grant_provider(name), len(places))
    return sorted(names, key=lambda name: places[grant_provider(name)])


def in_words(text: str) -> str:
    """The limits of a grant, without its name: `GET|HEAD, /repos/me/**, 100 requests, for 1h`."""
    fields = _fields(text)
    number = fields["max_requests"]
    words = (
        fields["methods"].replace(" ", "|"),
        fields["paths"].replace(" ", "|"),
        f"{number} request{'' if number == '1' else 's'}" if number else "",
        f"for {fields['expires_in']}" if fields["expires_in"] else "",
    )
    return ", ".join(word for word in words if word)


def in_short(grants: Iterable[str]) -> str:
    """A run's grants for a narrow column; one that has limits has a mark."""
    return ", ".join(text.partition(";")[0] + (";…" if ";" in text else "") for text in grants)


def _fields(text: str) -> dict[str, str]:
    """Never raises: a file of another version may say what this one does not know."""
    from engine import UsageError

    try:
        return narrow_fields(text)
    except UsageError:
        return dict.fromkeys(("scope", *FIELDS), "") | {"paths": text.partition(";")[2]}
