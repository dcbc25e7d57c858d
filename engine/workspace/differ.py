"""Unified diffs of texts that an agent may have written: whatever they hold, the time is bounded. Pure.

Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), given up after MOST_EDITS: what
is still different then stands in the diff as one piece. Python's own difflib is cubic at its worst.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

CONTEXT = 3  # lines before and after a change
MOST_EDITS = 1_000
_UNENDED = "\\ No newline at end of file\n"

type _Block = tuple[int, int, int]  # where in the old lines, where in the new ones, how many are the same


def unified(old: str, new: str) -> str:
    """The hunks that make `new` of `old`, each line with its end; "" when they are the same."""
    return "".join(_hunks(_lines(old), _lines(new)))


def _lines(text: str) -> list[str]:
    """Only LF ends a line: what other readers take for line ends is shown to be there."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    edits = [*_edits(_matching(old, new), len(old), len(new))]
    start = 0
    while start < len(edits):
        end = start + 1
        # Changes whose context would meet share a hunk.
        while end < len(edits) and edits[end][0] - edits[end - 1][1] <= 2 * CONTEXT:
            end += 1
        group = edits[start:end]
        begin_old, begin_new = max(0, group[0][0] - CONTEXT), max(0, group[0][2] - CONTEXT)
        end_old = min(len(old), group[-1][1] + CONTEXT)
        end_new = min(len(new), group[-1][3] + CONTEXT)
        yield f"@@ -{_range(begin_old, end_old)} +{_range(begin_new, end_new)} @@\n"
        at = begin_old
        for old_from, old_to, new_from, new_to in group:
            yield from _marked(" ", old[at:old_from])
            yield from _marked("-", old[old_from:old_to])
            yield from _marked("+", new[new_from:new_to])
            at = old_to
        yield from _marked(" ", old[at:end_old])
        start = end


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield mark + line if line.endswith("\n") else f"{mark}{line}\n{_UNENDED}"


def _range(begin: int, end: int) -> str:
    count = end - begin
    if count == 1:
        return str(begin + 1)
    return f"{begin + 1 if count else begin},{count}"


def _edits(blocks: Sequence[_Block], old: int, new: int) -> Iterator[tuple[int, int, int, int]]:
    """The gaps between matching blocks: (old from, old to, new from, new to)."""
    at_old = at_new = 0
    for old_from, new_from, count in (*blocks, (old, new, 0)):
        if at_old < old_from or at_new < new_from:
            yield at_old, old_from, at_new, new_from
        at_old, at_new = old_from + count, new_from + count


def _matching(old: Sequence[str], new: Sequence[str]) -> list[_Block]:
    head, most = 0, min(len(old), len(new))
    while head < most and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < most - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = _shortest(old[head : len(old) - tail], new[head : len(new) - tail])
    blocks = [(0, 0, head)]
    blocks += [(old_at + head, new_at + head, count) for old_at, new_at, count in middle]
    blocks.append((len(old) - tail, len(new) - tail, tail))
    return [block for block in blocks if block[2]]


def _shortest(old: Sequence[str], new: Sequence[str]) -> list[_Block]:
    """What stays the same in a shortest edit from `old` to `new`; nothing when that has over MOST_EDITS."""
    if not old or not new:
        return []
    numbers: dict[str, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in old]
    b = [numbers.setdefault(line, len(numbers)) for line in new]
    # How far into `a` so many edits lead on each diagonal: -edits, -edits + 2, …, edits.
    steps: list[list[int]] = []
    for edits in range(min(MOST_EDITS, len(a) + len(b)) + 1):
        reached: list[int] = []
        for place in range(edits + 1):
            diagonal = 2 * place - edits
            x, _ = _start(steps, edits, place)
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            reached.append(x)
            if x >= len(a) and y >= len(b):
                steps.append(reached)
                return _way_back(steps, place)
        steps.append(reached)
    return []


def _start(steps: list[list[int]], edits: int, place: int) -> tuple[int, int]:
    """Where the last of `edits` edits leads to on a diagonal, before what is the same there; and from which
    place in the step before.
    """
    if not edits:
        return 0, -1
    before = steps[edits - 1]
    if place == 0 or (place != edits and before[place - 1] < before[place]):
        return before[place], place  # a line of the new text
    return before[place - 1] + 1, place - 1  # a line of the old one is gone


def _way_back(steps: list[list[int]], place: int) -> list[_Block]:
    blocks: list[_Block] = []
    for edits in range(len(steps) - 1, -1, -1):
        end = steps[edits][place]
        diagonal = 2 * place - edits
        begin, place = _start(steps, edits, place)
        if end > begin:
            blocks.append((begin, begin - diagonal, end - begin))
    return blocks[::-1]
