"""The installation's signing key for audit logs: sealed like a credential, made on first use.

The private half lies in `heads/signing.key.enc`, encrypted with the store's key; the public half in
`heads/signing.pub` as hex, which is what verification compares with.
"""

from __future__ import annotations

import fcntl
import os

from engine.audit import RunKeys, Signer
from engine.audit.keys import installation_origin
from engine.credentials import KeySource, SealedFile
from engine.errors import CredentialUnreadable
from engine.home import Home
from engine.run.library import PUBLIC_KEY

_SEALED = "signing.key.enc"
_LABEL = "moat:audit-signing-key"


def load_signer(home: Home, keys: KeySource) -> Signer:
    """The installation's signer. Raises KeychainError or CredentialUnreadable; never replaces a key."""
    sealed = home.heads / _SEALED
    lock = home.open_private(home.heads / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first runs at once must not make two keys
        try:
            seed = SealedFile(home, keys).read(sealed, _LABEL)
        except FileNotFoundError:
            signer = Signer.generate()
            SealedFile(home, keys).write(sealed, _LABEL, signer.seed)
            home.write(home.heads / PUBLIC_KEY, signer.public_key.hex().encode() + b"\n")
            return signer
        if len(seed) != 32:
            raise CredentialUnreadable(f"{sealed} does not hold a signing key")
        return Signer(seed)
    finally:
        os.close(lock)


def begin_run(home: Home, keys: KeySource, run_id: str) -> RunKeys:
    """The keys of a new run, certified by the installation's. Blocking; raises as `load_signer`."""
    signer = load_signer(home, keys)
    return RunKeys.begin(installation_origin(signer.public_key), run_id, signer)
