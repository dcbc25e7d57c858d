"""Docker: the engine's API over its local socket."""
