"""Containers beside the agent's, and the services that they are."""
