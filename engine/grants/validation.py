"""Asking a service whether it takes a credential, before it is stored.

The value goes to one host of its own grant, an npm token to its own registry (engine/grants/https.py says
how). No exception that leaves here holds the value.
"""

from __future__ import annotations

import asyncio
import os

import msgspec

from engine.daemon_thread import in_daemon_thread
from engine.errors import GrantError
from engine.grants import npm
from engine.grants.https import Unreachable, ask
from engine.grants.table import Provider, Validation, render_header, rule_for
from engine.grants.tokens import check_token

# Registries that are none of npm's own make may not have the request.
_NO_WHOAMI = (404, 405, 501)
_UNCHECKED = "Try again, or store it unchecked with --no-validate."


async def validate(provider: Provider, token: str, *, timeout: float = 15.0) -> str:
    """Whose credential it is, "" when the service does not say or has no request for it.

    timeout: seconds for everything. Raises GrantError when the service refuses or cannot be asked. For npm,
    `token` may be the stored form; each registry is asked with its own.
    """
    token = check_token(token)
    title, accounts = provider.title, []
    try:
        async with asyncio.timeout(timeout):
            for question in await in_daemon_thread(lambda: _questions(provider, token)):
                title = question.title
                accounts.append(await _account_of(provider, question, timeout))
    except TimeoutError:
        raise GrantError(f"{title} did not answer within {timeout:g} s", remedy=_UNCHECKED) from None
    return ", ".join(dict.fromkeys(filter(None, accounts)))


class _Question(msgspec.Struct, frozen=True):
    """One request with one token. Its header holds the token: never shown."""

    title: str
    request: Validation
    header: tuple[str, str]

    def __repr__(self) -> str:
        return f"_Question({self.title})"


def _questions(provider: Provider, token: str) -> list[_Question]:
    """Blocking: for npm, its own program may say which registry is meant."""
    if provider.name == npm.NAME:
        registries = npm.decode(npm.stored_form(token, os.environ))
        rules = npm.host_rules(registries)
        return [
            _Question(
                f"The npm registry {registry.host}",
                Validation(f"https:{registry.place}-/whoami", account="username", unknown=_NO_WHOAMI),
                (rule.header, render_header(rule, registry.token)),
            )
            for registry, rule in zip(registries, rules, strict=True)
        ]
    request = provider.validation
    rule = rule_for(provider, request.url) if request else None
    if request is None or rule is None:
        return []
    return [_Question(provider.title, request, (rule.header, render_header(rule, token)))]


async def _account_of(provider: Provider, question: _Question, timeout: float) -> str:
    request, (name, value) = question.request, question.header
    try:
        status, body = await in_daemon_thread(
            lambda: ask(
                request.url,
                {**request.headers, name: value},
                timeout=timeout,
                method=request.method,
                body=request.body.encode(),
            )
        )
    except Unreachable as error:
        raise GrantError(
            f"{question.title} cannot be reached to check the credential",
            remedy=_UNCHECKED,
            detail=str(error),
        ) from None
    if status in request.refused:
        raise GrantError(
            f"{question.title} refused the credential for {provider.name} (status {status})",
            remedy="Make sure it is whole, not expired or revoked, and for this service; --no-validate "
            "stores it unchecked.",
        )
    if status in request.unknown:
        return ""
    if not 200 <= status < 300:
        raise GrantError(
            f"{question.title} answered {status}, so the credential could not be checked", remedy=_UNCHECKED
        )
    return _account(body, request.account)


def _account(body: bytes, path: str) -> str:
    """The text at the dotted `path` of a JSON answer, one printable line, "" when it is not there."""
    if not path:
        return ""
    try:
        found: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    text = found if isinstance(found, str) else ""
    return "".join(char for char in text if char.isprintable())[:80]
