"""The hook `pre_run`, before the agent's command in its own container.

A shell runs it, with nothing to read, and then gives its place to the command: the command's words, its
signals and its terminal are what they would be without a hook.
"""

from __future__ import annotations

from engine.errors import UsageError
from engine.runtimes import ImageFacts

_SCRIPT = (
    '/bin/sh -ec "$0" </dev/null || {\n'
    "  code=$?\n"
    '  echo "moat: the hook pre_run failed with exit code $code" >&2\n'
    "  exit $code\n"
    "}\n"
    'exec "$@"\n'
)


def with_pre_run(
    hook: str, command: tuple[str, ...], image: ImageFacts, *, before: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """All that the container runs, the image's ENTRYPOINT among it. before: words in front of everything.

    Raises UsageError where there is nothing to run after the hook.
    """
    whole = (*image.entrypoint, *(command or image.command))
    if not whole:
        raise UsageError(
            "there is nothing to run after the hook pre_run: the image has no command of its own",
            remedy="Give a command after --, or in agent.yaml.",
        )
    return (*before, "/bin/sh", "-c", _SCRIPT, hook, *whole)
