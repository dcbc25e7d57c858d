"""What the screen shows, worked out in plain code: no widget, no terminal, tested without either."""
