"""Each service's image, what its server is told and what the agent is told: without an engine."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest

from engine.config import AgentConfig
from engine.config.agent_config import ServiceConfig
from engine.config.dependencies import SERVICES, parse_dependency
from engine.run.beside.services import new_passwords, services_of, sidecar_of, variables
from engine.runtimes import Network
from engine.runtimes.docker.body import container_body

NETWORK = Network("moat-run_1", "n1", "10.0.0.13", "10.0.0.0/28", True, True)


def services(*words, **given):
    return services_of(
        AgentConfig(dependencies=tuple(map(parse_dependency, ("node@20", "jq", *words))), services=given)
    )


def sidecar(service, password="pw-canary"):
    return sidecar_of(
        service, password, run_id="run_1", home_label="h", network=NETWORK, sandbox="gvisor"
    )  # fmt: skip


def test_the_images_are_the_official_ones_by_name_and_version():
    found = services("postgres@17", "redis@7", "mysql@8", "postgres@16.4")
    assert [(each.image, each.official) for each in found] == [
        ("postgres:17", True), ("redis:7", True), ("mysql:8", True), ("postgres:16.4", True),
    ]  # fmt: skip
    (other,) = services("redis@7", redis=ServiceConfig(image="valkey/valkey:8"))
    assert (other.image, other.official, other.wait) == ("valkey/valkey:8", False, True)
    (same,) = services("redis@7", redis=ServiceConfig(image="redis:7", wait=False))
    assert (same.official, same.wait) == (True, False)
    assert services() == ()


def test_the_agent_is_told_how_to_reach_each():
    found = services("postgres@17", "redis@7", "mysql@8")
    assert variables(found, {"postgres": "p1", "redis": "p2", "mysql": "p3"}) == {
        "MOAT_POSTGRES_URL": "postgresql://postgres:p1@postgres:5432/postgres",
        "MOAT_POSTGRES_HOST": "postgres",
        "MOAT_POSTGRES_PORT": "5432",
        "MOAT_POSTGRES_USER": "postgres",
        "MOAT_POSTGRES_PASSWORD": "p1",
        "MOAT_POSTGRES_DB": "postgres",
        "MOAT_REDIS_URL": "redis://default:p2@redis:6379",
        "MOAT_REDIS_HOST": "redis",
        "MOAT_REDIS_PORT": "6379",
        "MOAT_REDIS_PASSWORD": "p2",
        "MOAT_MYSQL_URL": "mysql://root:p3@mysql:3306/moat",
        "MOAT_MYSQL_HOST": "mysql",
        "MOAT_MYSQL_PORT": "3306",
        "MOAT_MYSQL_USER": "root",
        "MOAT_MYSQL_PASSWORD": "p3",
        "MOAT_MYSQL_DB": "moat",
    }


@pytest.mark.parametrize(
    ("env", "user", "database"),
    [
        ({}, "postgres", "postgres"),
        ({"POSTGRES_USER": "ann"}, "ann", "ann"),
        ({"POSTGRES_DB": "app"}, "postgres", "app"),
        ({"POSTGRES_USER": "ann", "POSTGRES_DB": "a-b"}, "ann", "a-b"),
    ],
)
def test_what_agent_yaml_says_of_user_and_database_holds_for_both(env, user, database):
    (service,) = services("postgres@17", postgres=ServiceConfig(env={**env, "LC_ALL": "C"}))
    told = variables((service,), {"postgres": "p1"})
    assert (told["MOAT_POSTGRES_USER"], told["MOAT_POSTGRES_DB"]) == (user, database)
    url = urlsplit(told["MOAT_POSTGRES_URL"])
    assert (unquote(url.username), url.password, unquote(url.path)) == (user, "p1", f"/{database}")
    server = sidecar(service).container.env
    assert (server.get("POSTGRES_USER", "postgres"), server["POSTGRES_DB"]) == (user, database)
    assert server["LC_ALL"] == "C"


def test_passwords_are_new_long_and_mean_themselves_in_a_url():
    found = services("postgres@17", "redis@7", "mysql@8")
    first, second = new_passwords(found), new_passwords(found)
    values = [*first.values(), *second.values()]
    assert len(set(values)) == 6
    for value in values:
        assert len(value) == 32
        assert unquote(urlsplit(f"x://u:{value}@h:1/d").password) == value


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_has_its_password_in_a_file_and_no_right_at_all(name):
    (service,) = services(f"{name}@1")
    spec = sidecar(service).container
    body = container_body(spec)
    assert "pw-canary" not in json.dumps(body)
    assert any(b"pw-canary" in file.content for file in spec.files)
    host = body["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], [], False)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Mounts"], "PortBindings" in host, host["Runtime"]) == ([], False, "runsc")
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] == 1024
    assert host["LogConfig"]["Type"] == "none"
    assert body["User"] == name  # the image's own account for its server, never root
    assert "WorkingDir" not in body
    assert body["Labels"] == {"moat.run": "run_1", "moat.home": "h"}
    assert host["NetworkMode"] == "moat-run_1"


def test_the_official_entrypoints_read_the_password_from_the_file_that_is_there():
    for name, variable in (
        ("postgres", "POSTGRES_PASSWORD_FILE"), ("mysql", "MYSQL_ROOT_PASSWORD_FILE"),
    ):  # fmt: skip
        spec = sidecar(services(f"{name}@8")[0]).container
        (file,) = spec.files
        assert spec.env[variable] == file.path
        assert (file.content, file.mode & 0o004) == (b"pw-canary", 0o004)  # it is not root that reads it
        assert spec.command == ()
    redis = sidecar(services("redis@7")[0]).container
    assert redis.command == ("redis-server", redis.files[1].path)
    assert b"requirepass pw-canary\n" in redis.files[1].content
    assert b"maxmemory 768mb\n" in redis.files[1].content
    assert redis.memory_mb == 1024
    assert redis.env == {}


def test_values_of_a_services_variables_are_on_no_screen():
    (service,) = services("redis@7", redis=ServiceConfig(env={"KEY": "canary"}))
    assert "canary" not in repr(service)
    assert "KEY" in repr(service)
