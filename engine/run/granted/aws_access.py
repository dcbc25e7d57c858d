"""The AWS grant of a run, found ready before anything starts: the role stored, the library there."""

from __future__ import annotations

from engine.aws import AWS, AwsRole, check_library, role_of
from engine.credentials import CredentialStore
from engine.errors import CredentialMissing, GrantError


def open_role(store: CredentialStore, wishes: tuple[str, ...]) -> AwsRole:
    """wishes: what the run's grants say of it. Blocking. Raises CredentialMissing, GrantError, or what the
    store raises.
    """
    if any(wish != AWS for wish in wishes):
        raise GrantError(
            f"the grant {AWS} has no scopes and no limits: its requests are signed where they are made",
            remedy="Narrow the role's sessions instead: moat grant aws --policy FILE",
        )
    if not store.exists(AWS):
        where, flag = (
            (f" in the profile {store.profile!r}", f" --profile {store.profile}")
            if store.profile
            else ("", "")
        )
        raise CredentialMissing(
            f"no role is stored for the grant {AWS!r}{where}",
            remedy=f"Store one first: moat grant aws --role ARN{flag}",
        )
    check_library()
    credential = store.get(AWS)
    return role_of(credential.token, credential.metadata)
