"""The AWS room: temporary credentials of a role, from STS, for one run.

role       which role, for how long, narrowed how        sts   the question itself
session    what a run has of it: asked for when wanted, kept until shortly before it expires
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import exports

if TYPE_CHECKING:
    from engine.aws.role import AWS as AWS
    from engine.aws.role import AwsRole as AwsRole
    from engine.aws.role import check_aws_role as check_aws_role
    from engine.aws.role import metadata_of as metadata_of
    from engine.aws.role import read_aws_policy as read_aws_policy
    from engine.aws.role import role_of as role_of
    from engine.aws.session import RoleSession as RoleSession
    from engine.aws.sts import TemporaryCredentials as TemporaryCredentials
    from engine.aws.sts import assume_role as assume_role
    from engine.aws.sts import check_library as check_library

_HOMES = {
    ".role": ("AWS", "AwsRole", "check_aws_role", "metadata_of", "read_aws_policy", "role_of"),
    ".session": ("RoleSession",),
    ".sts": ("TemporaryCredentials", "assume_role", "check_library"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)
__getattr__ = exports(__name__, _HOMES)
