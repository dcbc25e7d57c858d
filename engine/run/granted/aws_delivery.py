"""How a run gets the temporary credentials of its role: what goes into the container, and what is served.

AWS tools in the container start a helper (`credential_process`), which asks the run's own proxy with the
run's token; the proxy asks here. The container never sees what the role was assumed with.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from importlib import resources

import msgspec

from engine.aws import AWS, AwsRole, RoleSession, TemporaryCredentials
from engine.errors import GrantError
from engine.proxy import Given, Served
from engine.runtimes import PlacedFile

_OWN = "/moat/aws"
_PATH = "/_aws/credentials"
# Dual-stack endpoints, and functions that are called under a URL of their own.
_ALSO_AWS = ("*.api.aws", "*.on.aws")


class AwsDelivery(msgspec.Struct, frozen=True):
    """For the container's spec and the proxy's. reach: hosts that the run may reach, `strict` or not."""

    files: tuple[PlacedFile, ...] = ()
    env: dict[str, str] = {}
    served: tuple[Served, ...] = ()
    reach: tuple[str, ...] = ()


class _Process(msgspec.Struct, frozen=True, rename="pascal"):
    """What credential_process prints (AWS SDKs and Tools Reference Guide)."""

    version: int
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: str


def deliver_aws(
    role: AwsRole | None,
    run_id: str,
    place: tuple[str, int, str],
    learn: Callable[[tuple[str, ...]], None],
    say: Callable[[str], None],
) -> AwsDelivery:
    """place: host and port of the proxy as the container reaches it, and the run's token. learn: takes values
    that must not be written down from then on. say: tells the person, once for each trouble.
    """
    if role is None:
        return AwsDelivery()
    session = RoleSession(role, run_id)
    said = ""

    async def give() -> Given:
        nonlocal said
        try:
            held = await session.credentials()
        except GrantError as error:
            if str(error) != said:
                said = str(error)
                say(said)
            raise
        said = ""
        learn(held.secrets)
        return Given(process_output(held), held.host, held.secrets)

    host, port, token = place
    helper = resources.files("engine.run").joinpath("in_container", "aws_credentials.sh").read_bytes()
    config = f"[default]\ncredential_process = {_OWN}/credentials\nregion = {role.region}\n"
    return AwsDelivery(
        files=(
            PlacedFile(f"{_OWN}/config", config.encode()),
            PlacedFile(f"{_OWN}/credentials", helper, mode=0o755),
            PlacedFile(f"{_OWN}/endpoint", f"{host} {port} {token}\n".encode()),
        ),
        env={"AWS_CONFIG_FILE": f"{_OWN}/config", "AWS_REGION": role.region, "AWS_PAGER": ""},
        served=(Served(_PATH, AWS, role.hosts + _ALSO_AWS, give),),
        reach=tuple(f"{pattern}:443" for pattern in role.hosts),
    )


def process_output(held: TemporaryCredentials) -> str:
    expires = held.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shape = _Process(1, held.access_key_id, held.secret_access_key, held.session_token, expires)
    return msgspec.json.encode(shape).decode() + "\n"
