"""What each service is: its image, how its server is told the password, and what the agent is told of it.

From the official images' documentation and entrypoints (docker-library/postgres and mysql,
redis/docker-library-redis). Each runs as the user that its image has for it, so without any capability, and
gets its password in a file: one in its environment or command could be read with `docker inspect`. The
password is the run's own, made anew for each; it opens nothing else, and the agent has it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from engine.config import AgentConfig
from engine.run.beside.sidecar import Sidecars, SidecarSpec
from engine.runtimes import ContainerSpec, Network, PlacedFile, Runtime, Sandbox

_PASSWORD_FILE = "/moat/service/password"
_REDIS_CONFIG = "/moat/service/redis.conf"
_PIDS = 1024


class Service(msgspec.Struct, frozen=True):
    """One of a run's, settled. name: a key of engine.config.dependencies.SERVICES."""

    name: str
    image: str
    official: bool  # whether the image is the one that its name and version stand for
    env: dict[str, str] = {}
    wait: bool = True

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self.image!r}, env={sorted(self.env)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """As __repr__: the values of `env` may be anything, and belong on no screen."""
        return [("name", self.name), ("image", self.image), ("env", sorted(self.env))]


class _Server(msgspec.Struct, frozen=True):
    """user, database: "" where there is none, and a database without a name has the user's; the variables,
    where its image takes another one from there.
    login: for its URL, where that needs a user although nobody else does.

    ready: asked over TCP: while a database is made, a server answers that listens on its unix socket alone.
    """

    port: int
    scheme: str
    account: str  # of the image, that it runs as
    memory_mb: int
    ready: tuple[str, ...]
    user: str = ""
    user_variable: str = ""
    database: str = ""
    database_variable: str = ""
    login: str = ""
    env: dict[str, str] = {}
    command: tuple[str, ...] = ()


_SERVERS = {
    "postgres": _Server(
        port=5432,
        scheme="postgresql",
        account="postgres",
        memory_mb=1024,
        ready=("pg_isready", "-q", "-h", "127.0.0.1", "-p", "5432"),
        user="postgres",
        user_variable="POSTGRES_USER",
        database_variable="POSTGRES_DB",
        env={"POSTGRES_PASSWORD_FILE": _PASSWORD_FILE},
    ),
    "mysql": _Server(
        port=3306,
        scheme="mysql",
        account="mysql",
        memory_mb=2048,
        # It ends with 0 when the server answers, also that it does not know who asks.
        ready=("mysqladmin", "ping", "--silent", "--protocol=tcp", "-h", "127.0.0.1", "-P", "3306"),
        user="root",
        database="moat",
        database_variable="MYSQL_DATABASE",
        env={"MYSQL_ROOT_PASSWORD_FILE": _PASSWORD_FILE},
    ),
    "redis": _Server(
        port=6379,
        scheme="redis",
        account="redis",
        memory_mb=1024,
        ready=(
            "sh", "-c",
            f'REDISCLI_AUTH="$(cat {_PASSWORD_FILE})" redis-cli -h 127.0.0.1 -p 6379 ping | grep -qx PONG',
        ),
        login="default",  # redis-cli would log in as "" without
        command=("redis-server", _REDIS_CONFIG),
    ),
}  # fmt: skip


def services_of(config: AgentConfig) -> tuple[Service, ...]:
    found = []
    for wanted in config.dependencies:
        if wanted.kind != "service":
            continue
        official = f"{wanted.name}:{wanted.version}"
        given = config.services.get(wanted.name)
        image = given.image if given and given.image else official
        env, wait = (given.env, given.wait) if given else ({}, True)
        found.append(Service(wanted.name, image, image == official, env, wait))
    return tuple(found)


def new_passwords(services: tuple[Service, ...]) -> dict[str, str]:
    """Service -> password, of characters that stand for themselves in a URL."""
    return {service.name: secrets.token_urlsafe(24) for service in services}


def variables(services: tuple[Service, ...], passwords: Mapping[str, str]) -> dict[str, str]:
    """For the agent: MOAT_POSTGRES_URL, _HOST, _PORT and _PASSWORD, with _USER and _DB where it has any."""
    told: dict[str, str] = {}
    for service in services:
        server, prefix = _SERVERS[service.name], f"MOAT_{service.name.upper()}"
        user, database, password = _user(service), _database(service), passwords[service.name]
        place = f"{service.name}:{server.port}" + (f"/{quote(database, safe='')}" if database else "")
        told |= {
            f"{prefix}_URL": f"{server.scheme}://{quote(user or server.login, safe='')}:{password}@{place}",
            f"{prefix}_HOST": service.name,
            f"{prefix}_PORT": str(server.port),
            f"{prefix}_PASSWORD": password,
        }
        if user:
            told[f"{prefix}_USER"] = user
        if database:
            told[f"{prefix}_DB"] = database
    return told


def sidecar_of(
    service: Service, password: str, *, run_id: str, home_label: str, network: Network, sandbox: Sandbox
) -> SidecarSpec:
    server = _SERVERS[service.name]
    files = [PlacedFile(_PASSWORD_FILE, password.encode())]
    if service.name == "redis":
        files.append(PlacedFile(_REDIS_CONFIG, _redis_config(password, server.memory_mb)))
    database = {server.database_variable: _database(service)} if server.database_variable else {}
    return SidecarSpec(
        name=service.name,
        title=f"the service {service.name}",
        ready=server.ready,
        wait=service.wait,
        container=ContainerSpec(
            run_id=run_id,
            home_label=home_label,
            name=f"moat-{run_id}-{service.name}",
            image=service.image,
            network=network,
            command=server.command,
            env={**service.env, **server.env, **database},
            workdir="",
            files=tuple(files),
            user=server.account,
            sandbox=sandbox,
            memory_mb=server.memory_mb,
            pids_limit=_PIDS,
        ),
    )


async def start_services(
    services: tuple[Service, ...],
    passwords: Mapping[str, str],
    sidecars: Sidecars,
    engine: Runtime,
    say: Callable[[str], None],
    *,
    run_id: str,
    home_label: str,
    network: Network,
    sandbox: Sandbox,
) -> None:
    """All at once; on return they have addresses. Raises RuntimeFailure, in a group."""
    async with asyncio.TaskGroup() as group:
        for service in services:
            wanted = sidecar_of(
                service,
                passwords[service.name],
                run_id=run_id,
                home_label=home_label,
                network=network,
                sandbox=sandbox,
            )
            group.create_task(sidecars.start(engine, wanted, say))


def _user(service: Service) -> str:
    server = _SERVERS[service.name]
    return service.env.get(server.user_variable) or server.user


def _database(service: Service) -> str:
    server = _SERVERS[service.name]
    return service.env.get(server.database_variable) or server.database or _user(service)


def _redis_config(password: str, memory_mb: int) -> bytes:
    """It keeps nothing on disk: what it holds is gone with the run, and a copy that failed would stop it.
    Full, it says so: killed for its memory, it would hang under gVisor (seen with 20240729).
    """
    lines = ("port 6379", "bind * -::*", "protected-mode no", "dir /tmp", f"requirepass {password}",
             'save ""', "appendonly no", f"maxmemory {memory_mb * 3 // 4}mb")  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()
