"""The key `services` of agent.yaml: how the services among its dependencies differ from the official ones.

services:
  postgres:
    image: pgvector/pgvector:pg17    # behaves as the official image
    env: {POSTGRES_DB: app}          # of the server
    wait: false
"""

from __future__ import annotations

import re

from engine.config.agent_config import ServiceConfig
from engine.config.dependencies import SERVICES
from engine.config.environment import env_problem
from engine.config.secret_reference import parse_reference
from engine.config.values import Value
from engine.errors import UsageError

# Set by Moat, or at odds with what Moat sets: then the agent's own variables would not be true.
_OWN = {
    "postgres": ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_USER_FILE", "POSTGRES_DB_FILE",
                 "PGPORT"),
    "mysql": ("MYSQL_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD_FILE", "MYSQL_RANDOM_ROOT_PASSWORD",
              "MYSQL_ALLOW_EMPTY_PASSWORD", "MYSQL_ROOT_HOST", "MYSQL_ROOT_HOST_FILE", "MYSQL_DATABASE_FILE",
              "MYSQL_ONETIME_PASSWORD"),
    "redis": ("REDISCLI_AUTH",),
}  # fmt: skip
_NAMES = ("POSTGRES_USER", "POSTGRES_DB", "MYSQL_DATABASE")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


def read_services(value: Value, image: re.Pattern[str]) -> dict[str, ServiceConfig]:
    """image: what the name of one looks like. Raises ConfigError."""
    return {name: _service(name, keys, image) for name, keys in value.section(SERVICES).items()}


def _service(name: str, value: Value, image: re.Pattern[str]) -> ServiceConfig:
    keys = value.section(("image", "env", "wait"))
    expected = f"an image that behaves as the official {name}"
    return ServiceConfig(
        image=keys["image"].matching(image, expected) if "image" in keys else "",
        env=_env(name, keys["env"]) if "env" in keys else {},
        wait=keys["wait"].flag() if "wait" in keys else True,
    )


def _env(service: str, value: Value) -> dict[str, str]:
    value.private = value.verbatim = True
    env: dict[str, str] = {}
    for name, item in value.pairs("variables to text").items():
        text = env[name] = item.text_or_number()
        if problem := env_problem(name, text):
            raise item.refused(problem[0], remedy=problem[1])
        if name in _OWN[service]:
            raise item.refused(
                f"{name} is reserved: Moat makes the password and the address of {service}",
                remedy="Remove it.",
            )
        if name in _NAMES and not _NAME.fullmatch(text):
            raise item.wrong("a name of letters, digits, _ and -")
        if _is_reference(text):
            raise item.refused(
                f"{name}: expected text, found a reference to a secret",
                remedy="A service holds the run's own data: give it a value of its own.",
            )
    return env


def _is_reference(text: str) -> bool:
    try:
        parse_reference(text)
    except UsageError:
        return False
    return True
