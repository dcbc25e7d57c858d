"""Docker for an agent: this machine's engine, or a daemon of its run's own."""
