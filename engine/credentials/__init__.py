"""Credential values at rest: sealed files, the key that opens them, and nothing in between."""

from engine.credentials.credential import Credential
from engine.credentials.keys import KeyLocation, KeySource
from engine.credentials.names import check_profile
from engine.credentials.sealed_file import SealedFile
from engine.credentials.store import CredentialStore, profiles

__all__ = [
    "Credential",
    "CredentialStore",
    "KeyLocation",
    "KeySource",
    "SealedFile",
    "check_profile",
    "profiles",
]
