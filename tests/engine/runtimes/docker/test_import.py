"""What importing the Docker room does to the process, and what it does not."""

from __future__ import annotations

import subprocess
import sys

ROOTS = """
import ssl
import engine.runtimes.docker
from aiohttp import connector
ours = (connector._SSL_CONTEXT_VERIFIED, connector._SSL_CONTEXT_UNVERIFIED)
print([len(context.get_ca_certs()) for context in ours], ours[0].verify_mode.name)
print("set_default_verify_paths" in vars(ssl.SSLContext), bool(ssl.create_default_context().get_ca_certs()))
"""


def test_no_root_certificates_are_read_for_a_socket_of_this_machine():
    """And whoever makes a context of their own afterwards gets them, as ever."""
    done = subprocess.run(
        [sys.executable, "-c", ROOTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ["[0, 0] CERT_REQUIRED", "False True"]
