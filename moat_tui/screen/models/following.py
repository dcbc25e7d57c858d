"""Whether a live list keeps to its end, and what arrived while it did not."""

from __future__ import annotations

from dataclasses import dataclass, field


class Following:
    """Starts following. `release` stays where the reader is; `resume` goes back to the end."""

    def __init__(self) -> None:
        self.on = True
        self.unseen = 0

    def arrived(self, number: int) -> None:
        if not self.on:
            self.unseen += number

    def release(self) -> None:
        self.on = False

    def resume(self) -> None:
        self.on = True
        self.unseen = 0

    @property
    def pill(self) -> str:
        """What floats over the list's last line, empty when there is nothing new to go to."""
        return f" ↓ {self.unseen:,} new · End " if not self.on and self.unseen else ""

    @property
    def word(self) -> str:
        return "following" if self.on else "paused · End follows"


@dataclass(frozen=True)
class Standing:
    """Where a reader is in a store: the numbers of the cursor's line and of the topmost one in view."""

    cursor: int = 0
    top: int = 0
    follow: Following = field(default_factory=Following)
