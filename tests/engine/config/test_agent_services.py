"""`services` of agent.yaml: what may differ from the official ones, and what may not."""

from __future__ import annotations

import pytest

from engine.config import load_agent_config
from engine.config.agent_config import ServiceConfig
from engine.errors import ConfigError


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setenv("MOAT_HOME", str(tmp_path / "home"))

    def read(services, dependencies="[postgres@17, redis@7]"):
        (tmp_path / "agent.yaml").write_text(f"dependencies: {dependencies}\nservices: {services}\n")
        return load_agent_config(tmp_path).config.services

    return read


def test_services_are_read(read):
    assert read("{}") == {}
    assert read("{postgres: {image: 'pgvector/pgvector:pg17', env: {POSTGRES_DB: app, SIZE: 1.10}}}") == {
        "postgres": ServiceConfig("pgvector/pgvector:pg17", {"POSTGRES_DB": "app", "SIZE": "1.10"})
    }
    assert read("{redis: {wait: false}, postgres: {}}") == {
        "redis": ServiceConfig(wait=False),
        "postgres": ServiceConfig(),
    }


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("{mysql: {wait: false}}", "mysql is not among the dependencies"),
        ("{postgress: {wait: false}}", "Did you mean 'postgres'"),
        ("{postgres: {wait: 'no'}}", "true or false"),
        ("{postgres: {volumes: [/:/host]}}", "env, image, wait"),
        ("{postgres: {image: '-v /:/host'}}", "behaves as the official postgres"),
        ("{postgres: {env: [A]}}", "a mapping"),
        ("{postgres: {env: {POSTGRES_PASSWORD: canary}}}", "POSTGRES_PASSWORD is reserved"),
        ("{postgres: {env: {POSTGRES_USER_FILE: /x}}}", "POSTGRES_USER_FILE is reserved"),
        ("{postgres: {env: {HTTPS_PROXY: 'http://canary'}}}", "HTTPS_PROXY is reserved"),
        ("{postgres: {env: {MOAT_RUN_ID: canary}}}", "MOAT_RUN_ID is reserved"),
        ("{postgres: {env: {POSTGRES_DB: 'a\"; canary'}}}", "a name of letters"),
        ("{postgres: {env: {TOKEN: 'op://canary/a/b'}}}", "found a reference to a secret"),
    ],
)
def test_what_is_no_service_is_refused_and_no_value_is_quoted(read, services, said):
    with pytest.raises(ConfigError) as caught:
        read(services)
    text = str(caught.value)
    assert said in text
    assert "canary" not in text


def test_a_service_is_refused_where_only_another_kind_of_that_name_is_wanted(read):
    with pytest.raises(ConfigError, match="not among the dependencies"):
        read("{redis: {}}", dependencies="[postgres@17]")
