"""`network:` of ~/.moat/config.yaml: what a person settled for every run of this installation.

rules            as in agent.yaml; they come first, for every run, and no workspace overrides them
approval_timeout seconds (5 to 3600) that a request held by the policy `ask` waits
allow_private    private destinations that runs may reach: HOST:PORT
passthrough      hosts whose TLS is not intercepted (pinned certificates): host, *.host, host:port
upstream_proxy   the network's own proxy: http://[USER:PASSWORD@]HOST:PORT, or `none`: not the environment's
upstream_ca      a PEM file with CAs that are trusted for upstreams besides the system's
"""

from __future__ import annotations

import re

import msgspec

from engine.config.host import HostNetwork
from engine.config.hosts import host_patterns
from engine.config.rules import read_rules
from engine.config.values import Value

KEYS = ("rules", "approval_timeout", "allow_private", "passthrough", "upstream_proxy", "upstream_ca")
_PRIVATE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_PROXY = re.compile(r"none|http://\S+")


def read_host_network(section: Value) -> HostNetwork:
    """Raises ConfigError with file, line and key."""
    keys = section.section(KEYS)
    found = HostNetwork()
    if "rules" in keys:
        found = msgspec.structs.replace(found, rules=read_rules(keys["rules"]))
    if "approval_timeout" in keys:
        timeout = keys["approval_timeout"].whole(5, 3600, "seconds")
        found = msgspec.structs.replace(found, approval_timeout=timeout)
    if "allow_private" in keys:
        private = tuple(
            item.matching(_PRIVATE, "HOST:PORT") for item in keys["allow_private"].items("HOST:PORT")
        )
        found = msgspec.structs.replace(found, allow_private=private)
    if "passthrough" in keys:
        found = msgspec.structs.replace(found, passthrough=host_patterns(keys["passthrough"]))
    if "upstream_proxy" in keys:
        keys["upstream_proxy"].private = True
        proxy = keys["upstream_proxy"].matching(_PROXY, "http://[USER:PASSWORD@]HOST:PORT, or none")
        found = msgspec.structs.replace(found, upstream_proxy=proxy)
    if "upstream_ca" in keys:
        found = msgspec.structs.replace(found, upstream_ca=keys["upstream_ca"].text("a file"))
    return found
