"""The screen: `moat` without a command, and `moat run` on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import Home, RunRequest


def run_screen(
    home: Home, *, run_id: str = "", start: RunRequest | None = None, read_only: bool = False
) -> int:
    """Open the screen and stay until the person leaves; returns the exit code.

    run_id: the run to select, in full. start: a run to start, detached, and select; what is wrong with
    it is shown in a form where it can be put right. read_only: nothing can be changed from it.
    """
    from moat_tui.screen.app import MoatApp
    from moat_tui.screen.engine_face import Engine
    from moat_tui.screen.settings import load_settings

    app = MoatApp(
        Engine(home),
        home_label=str(home.root),
        run_id=run_id,
        start=start,
        settings=load_settings(home),
        read_only=read_only,
    )
    result = app.run()
    return app.return_code or (result or 0)
