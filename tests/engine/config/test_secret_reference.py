"""What is a reference to a secret, and what is not."""

from __future__ import annotations

import pytest

from engine.config.secret_reference import parse_reference, parse_secret_pair
from engine.errors import UsageError


@pytest.mark.parametrize(
    ("text", "backend", "name", "region"),
    [
        ("op://vault/item/field", "op", "op://vault/item/field", ""),
        ("op://My Vault/db/section/pass word", "op", "op://My Vault/db/section/pass word", ""),
        ("ssm:///prod/db-url", "ssm", "/prod/db-url", ""),
        ("ssm://eu-central-1/prod/db", "ssm", "/prod/db", "eu-central-1"),
        ("ssm://us-gov-west-1/x", "ssm", "/x", "us-gov-west-1"),
        ("env://DATABASE_URL", "env", "DATABASE_URL", ""),
    ],
)
def test_references(text, backend, name, region):
    reference = parse_reference(text)
    assert (reference.backend, reference.name, reference.region) == (backend, name, region)
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    ["", "plain", "op://", "op://vault", "op://vault/item", "op://-v/i/f", "op://v/i/f/g/h", "op://v//f", "op://v/i/f\n",
     "ssm://", "ssm://prod", "ssm://eu-west-1", "ssm:///a b", "ssm:///a//b", "ssm://x/a",
     "env://", "env://A B", "env://1A", "env://A=B", "vault://a/b", "op://v/i/" + "f" * 2000],
)  # fmt: skip
def test_what_is_none_is_not_quoted(text):
    with pytest.raises(UsageError) as raised:
        parse_reference(text)
    assert not text or text not in raised.value.what


def test_a_pair_on_the_command_line():
    assert parse_secret_pair("DB=op://v/i/f?attribute=x") == ("DB", "op://v/i/f?attribute=x")
    for wrong in ("op://v/i/f", "DB=hunter2", "HTTP_PROXY=env://A", "A B=env://A", "MOAT_X=env://A"):
        with pytest.raises(UsageError) as raised:
            parse_secret_pair(wrong)
        assert "hunter2" not in str(raised.value)
