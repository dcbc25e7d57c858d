"""`docker:` of ~/.moat/config.yaml: what docker:dind is made of.

dind_image       an image with a Docker daemon: `dockerd` and `docker`
buildkit_image   an image with BuildKit: `buildkitd` and `buildctl`; `none`: no sidecar for it
"""

from __future__ import annotations

import re

import msgspec

from engine.config.host import HostDocker
from engine.config.values import Value

KEYS = ("dind_image", "buildkit_image")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_NONE = "none"


def read_host_docker(section: Value) -> HostDocker:
    """Raises ConfigError with file, line and key."""
    keys = section.section(KEYS)
    found = HostDocker()
    if "dind_image" in keys:
        image = keys["dind_image"].matching(_IMAGE, "an image such as docker:28-dind")
        found = msgspec.structs.replace(found, dind_image=image)
    if "buildkit_image" in keys:
        image = keys["buildkit_image"].matching(_IMAGE, "an image such as moby/buildkit:latest, or none")
        found = msgspec.structs.replace(found, buildkit_image="" if image == _NONE else image)
    return found
