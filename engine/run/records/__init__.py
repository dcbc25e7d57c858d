"""A run's files while they are written. Their one writer is its supervisor."""
