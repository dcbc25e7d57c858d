"""The process that stands between the supervisor and one run's sandbox. Standard library only.

Started alone, by `python -I -S`: it must be small, quick to start and of one thread, because the kernel lets
no other process enter a user namespace. It lives as long as the supervisor's end of its socket; whatever it
started dies with it. So its modules know one another by relative names, and nothing of the engine.

    supervisor ──{id, op, …} in a memfd, and descriptors──▶ keeper      one packet each
    supervisor ◀──{id, …} or {id, error} or {id, exited}── keeper      and descriptors

network   make the run's user and network namespace, with nothing in it but loopback
bind      make sockets in it; they work in any process, and belong to that namespace for ever
socket    make one in it that is bound to nothing yet, to be connected from outside
start     bubblewrap, in it; answers with the sandbox's first process
exec      a command beside the agent, in all of the sandbox's namespaces, under its filters and limits
"""
