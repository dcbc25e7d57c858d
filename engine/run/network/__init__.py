"""The sockets of a run: where its proxy listens, and the ports that it publishes."""
