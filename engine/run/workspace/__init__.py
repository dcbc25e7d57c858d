"""A run's workspace: what agent.yaml says, snapshots, the record, worktrees and volumes."""
