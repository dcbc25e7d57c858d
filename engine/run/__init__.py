"""A run: from what a person asks to a closed log. It composes the other rooms of the engine.

request, spec, names   what is asked, and what it comes to      prepare, approval   what is refused first
supervisor, launch     its life in one process, and the start   beginning           what it begins with
detached, lifecycle,   supervisors of their own, acting on      metadata, reaper    what is left of it
granted/               what its grants, secrets and decoys become
image/                 the image that its container is made of
network/               the sockets where its proxy listens, and ports for this machine
beside/, docker/       further containers: services, and Docker for the agent
workspace/             its workspace: snapshots, the record, worktrees, volumes
terminals/             the agent's output, and who is attached to it
control/               the socket by which others reach the supervisor
records/, reading/     its files: their one writer, and who only looks
"""
