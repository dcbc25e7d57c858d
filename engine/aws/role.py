"""What `moat grant aws` stores: a role's ARN, and how its sessions are to be asked for. Pure.

Stored as a credential whose token is the ARN; the rest is metadata under the names of formats.md, "AWS",
with the duration as Go writes one (`900s`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.errors import UsageError

AWS = "aws"
DEFAULT_REGION = "us-east-1"
SHORTEST, LONGEST = 900, 12 * 3600  # seconds; the limits of STS
_POLICY_SIZE = 2048  # characters of a session policy; the limit of STS

_ARN = re.compile(r"arn:(aws[a-z-]{0,20}):iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9+=,.@:/_-]{2,1224}")
_DURATION = re.compile(r"(?:([0-9]{1,2})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,5})s?)?")


class AwsRole(msgspec.Struct, frozen=True):
    """arn: the role. session_duration: seconds. profile: of the host's AWS configuration, "" for its
    default. policy: a session policy as compact JSON, which narrows what the role may do; "" for none.
    """

    arn: str
    region: str = DEFAULT_REGION
    session_duration: int = SHORTEST
    external_id: str = ""
    profile: str = ""
    policy: str = ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where requests that are signed with its credentials go."""
        china = self.arn.startswith("arn:aws-cn:")
        return ("*.amazonaws.com.cn",) if china else ("*.amazonaws.com",)


def check_aws_role(
    arn: str,
    *,
    region: str = "",
    session_duration: str = "",
    external_id: str = "",
    profile: str = "",
    policy: str = "",
) -> AwsRole:
    """Raises UsageError, with its field, for what AWS could only refuse later. "" stands for the default."""
    if not _ARN.fullmatch(arn):
        raise UsageError("not the ARN of a role", field="arn", remedy="Write arn:aws:iam::ACCOUNT:role/NAME.")
    if region and not _REGION.fullmatch(region):
        raise UsageError("not the name of an AWS region", field="region", remedy="Write it as in us-east-1.")
    if external_id and not _EXTERNAL_ID.fullmatch(external_id):
        raise UsageError(
            "not an external ID",
            field="external_id",
            remedy="It has 2 to 1224 letters, digits and + = , . @ : / - _",
        )
    if not profile.isprintable() or len(profile) > 128:
        raise UsageError(
            "not the name of an AWS profile",
            field="profile",
            remedy="See them: aws configure list-profiles",
        )
    return AwsRole(
        arn,
        region or DEFAULT_REGION,
        _seconds(session_duration) if session_duration else SHORTEST,
        external_id,
        profile,
        policy,
    )


def read_aws_policy(path: Path) -> str:
    """The session policy in a file, as compact JSON. Raises UsageError."""
    try:
        policy = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", remedy="Name a file with an IAM policy."
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON", detail=str(error)) from None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise UsageError(
            f"{path} is no IAM policy: it has no Statement", remedy="Write a policy as IAM documents them."
        )
    text = json.dumps(policy, separators=(",", ":"))
    if len(text) > _POLICY_SIZE:
        raise UsageError(
            f"the policy in {path} has {len(text)} characters, and AWS takes at most {_POLICY_SIZE}",
            remedy="Shorten it, or narrow the role itself.",
        )
    return text


def metadata_of(role: AwsRole) -> dict[str, str]:
    """What is stored beside the ARN, without what is empty."""
    fields = {
        "region": role.region,
        "session_duration": f"{role.session_duration}s",
        "external_id": role.external_id,
        "profile": role.profile,
        "policy": role.policy,
    }
    return {name: value for name, value in fields.items() if value}


def role_of(arn: str, metadata: Mapping[str, str]) -> AwsRole:
    """A role as it was stored; raises UsageError for one that this version would not have stored."""
    return check_aws_role(
        arn,
        region=metadata.get("region", ""),
        session_duration=metadata.get("session_duration", ""),
        external_id=metadata.get("external_id", ""),
        profile=metadata.get("profile", ""),
        policy=metadata.get("policy", ""),
    )


def _seconds(text: str) -> int:
    """`15m`, `1h30m`, `900` or `900s`."""
    found = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not SHORTEST <= total <= LONGEST:
        raise UsageError(
            "not a duration that AWS gives sessions for",
            field="session_duration",
            remedy="Write 15m to 12h, as in 1h30m; the role itself may allow less (often 1h).",
        )
    return total
