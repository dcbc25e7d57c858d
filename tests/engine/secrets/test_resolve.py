"""All at once, or none: what a run gets, and what stops it."""

from __future__ import annotations

import threading

import pytest

from engine.errors import SecretError
from engine.secrets import Resolved, resolve_secrets

WANTED = {"A": "env://A", "B": "op://v/i/f", "C": "ssm:///p"}


async def test_every_variable_gets_its_value_trimmed():
    values = {"env": " one\n", "op": "two", "ssm": "\tthree"}
    resolved = await resolve_secrets(WANTED, lambda reference: values[reference.backend])
    assert resolved.values == {"A": "one", "B": "two", "C": "three"}
    assert {name: ref.backend for name, ref in resolved.references.items()} == {
        "A": "env",
        "B": "op",
        "C": "ssm",
    }


async def test_they_are_read_at_the_same_time():
    together = threading.Barrier(len(WANTED), timeout=20)

    def read(reference):
        together.wait()  # passes only when all of them are being read
        return "value"

    assert len((await resolve_secrets(WANTED, read)).values) == len(WANTED)


@pytest.mark.parametrize("value", ["", "  \n", "a\0b"])
async def test_a_value_that_no_variable_can_hold(value):
    with pytest.raises(SecretError, match="env://A, wanted as A,"):
        await resolve_secrets({"A": "env://A"}, lambda reference: value)


async def test_the_first_failure_is_the_error():
    def read(reference):
        if reference.backend == "op":
            raise SecretError(f"the secret {reference} could not be read")
        return "value"

    with pytest.raises(SecretError, match="op://v/i/f"):
        await resolve_secrets(WANTED, read)


async def test_nothing_wanted_is_nothing_read():
    assert (await resolve_secrets({}, lambda reference: pytest.fail("asked"))).values == {}


def test_what_is_blotted_out():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----"
    resolved = Resolved({"PIN": "123", "KEY": key, "URL": "postgres://u:p@h/db"}, {})
    assert resolved.masked == (
        key,
        "-----BEGIN KEY-----",
        "MIIEvQIBADANBg",
        "-----END KEY-----",
        "postgres://u:p@h/db",
    )
    assert resolved.too_short == ("PIN",)
    assert "postgres" not in repr(resolved)
