from __future__ import annotations

import subprocess
import sys


def test_naming_the_room_does_not_load_dockers_library() -> None:
    code = "import sys, engine.runtimes; print([m for m in ('aiodocker', 'aiohttp') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
