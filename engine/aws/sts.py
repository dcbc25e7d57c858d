"""The one question to AWS: STS AssumeRole, with whatever credentials this machine has.

boto3 is an extra of the package, imported when it is asked and not before. No error that leaves here
holds a value, nor the library's own exception, which may hold its request.
"""

from __future__ import annotations

import importlib.util
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from engine.aws.role import AwsRole
from engine.errors import GrantError

_SAID = 300  # characters of AWS's own words
_OWN_CREDENTIALS = "Check this machine's own AWS credentials: aws sts get-caller-identity{profile}"
# Error codes that are about the credentials which Moat asked with (STS, "Common errors").
_OWN_CODES = frozenset(
    ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "SignatureDoesNotMatch",
     "UnrecognizedClientException", "RequestExpired")
)  # fmt: skip


class TemporaryCredentials(msgspec.Struct, frozen=True):
    """host: the STS endpoint that gave them."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime
    host: str

    def __repr__(self) -> str:
        return f"TemporaryCredentials(expires_at={self.expires_at.isoformat()!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("expires_at", self.expires_at)]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be written down; the access key's id is public, and AWS logs it."""
        return (self.secret_access_key, self.session_token)


def check_library() -> None:
    """Raises GrantError when boto3 is not installed."""
    if importlib.util.find_spec("boto3") is None:
        raise GrantError(
            "the grant aws needs boto3, which is not installed beside Moat",
            remedy="Install it: pip install 'moat[aws]'",
        )


def assume_role(role: AwsRole, session_name: str) -> TemporaryCredentials:
    """Blocking, about 40 seconds at most. Raises GrantError, which says whose fault it is."""
    check_library()
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    wish = {"RoleArn": role.arn, "RoleSessionName": session_name, "DurationSeconds": role.session_duration}
    if role.external_id:
        wish["ExternalId"] = role.external_id
    if role.policy:
        wish["Policy"] = role.policy
    try:
        session = boto3.Session(profile_name=role.profile or None, region_name=role.region)
        client = session.client("sts", config=config)
        given = client.assume_role(**wish)["Credentials"]
        return TemporaryCredentials(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            given["Expiration"],
            urlsplit(client.meta.endpoint_url).hostname or "sts",
        )
    except (BotoCoreError, ClientError, ValueError) as error:
        raise _explained(role, error) from None


def _explained(role: AwsRole, error: Exception) -> GrantError:
    answer = getattr(error, "response", None)
    code = str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""
    profile = f" --profile {role.profile}" if role.profile else ""
    if code == "AccessDenied":
        what = "AWS refused a session of the role"
        remedy = "The role must trust this machine's identity (and its external ID, if it wants one)."
    elif code and code not in _OWN_CODES:
        what = "AWS gave no session of the role"
        remedy = "Check the role, its longest session, and the policy that the grant has."
    elif not code and "onnect" in type(error).__name__:
        what = "AWS STS cannot be reached for a session of the role"
        remedy = "Check the network, and the region of the grant."
    else:
        what = "this machine's own AWS credentials did not serve to ask for the role"
        remedy = _OWN_CREDENTIALS.format(profile=profile)
    return GrantError(f"{what} {role.arn}", detail=" ".join(str(error).split())[:_SAID], remedy=remedy)
