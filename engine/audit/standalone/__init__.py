"""A room of its own for moat_verify.py: as a script it must not find other modules of ours on its path."""
