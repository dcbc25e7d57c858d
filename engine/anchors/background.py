"""Anchoring beside a run: started when the log has got a new head, waited for by nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from engine.config.host import HostAudit, load_host_config
from engine.home import Home


def push_in_background(home: Home) -> None:
    """Have a process of its own bring the newest head to the places of config.yaml, if it names any.

    Blocking, for milliseconds. Raises ConfigError, HomeError, OSError.
    """
    if load_host_config(home).audit == HostAudit():
        return
    child = subprocess.Popen(
        # -P: never import from the working directory, which may be an agent's workspace.
        [sys.executable, "-P", "-m", "engine.anchors.pushing"],
        env={**os.environ, "MOAT_HOME": str(home.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    # Somebody has to take its exit code, as long as this process is there.
    threading.Thread(target=child.wait, name="anchoring", daemon=True).start()
