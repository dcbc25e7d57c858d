"""`make demo`: Moat's main job, shown on a real container against an upstream on this machine."""
