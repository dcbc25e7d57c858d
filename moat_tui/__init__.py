"""Moat's two faces over one engine: the screen (`screen`) and the command line (`cli`)."""
