"""What an image has to be for a run: which one it begins with and what is added to it. Pure; the runtimes
have the engines, and engine/run/ makes the images with them.
"""

from __future__ import annotations

from engine.images.names import REPOSITORY, image_names
from engine.images.plan import NO_PLAN, Plan, Step, hook_title, image_wishes, plan_image

__all__ = [
    "NO_PLAN",
    "REPOSITORY",
    "Plan",
    "Step",
    "hook_title",
    "image_names",
    "image_wishes",
    "plan_image",
]
