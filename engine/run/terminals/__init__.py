"""The agent's streams: to files and screens, and terminals that join and leave."""
