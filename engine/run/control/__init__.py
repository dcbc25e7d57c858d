"""How other processes reach a supervisor, and who they are."""
