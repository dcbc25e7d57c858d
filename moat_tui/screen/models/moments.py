"""Times and sizes as people read them. Times come in as RFC 3339 UTC text (`engine.events`)."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """The moment, aware; None when the text is empty or no time (a damaged file must not break a pane)."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age(text: str, now: datetime) -> str:
    """How long ago, in at most four columns: `now`, `42s`, `7m`, `3h`, `12d`, `2y`; `-` when unknown."""
    moment = parse_time(text)
    if moment is None:
        return "-"
    return span(int((now - moment).total_seconds()))


def span(seconds: int) -> str:
    """A duration in whole seconds, in at most four columns."""
    if seconds < 1:
        return "now"
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    if seconds < 86400:
        return f"{seconds // 3600}h"
    if seconds < 365 * 86400:
        return f"{seconds // 86400}d"
    return f"{seconds // (365 * 86400)}y"


def lasted(start: str, end: str, now: datetime) -> str:
    """From `start` to `end`, or to now when that is empty, in at most six columns; `-` when unknown."""
    began, over = parse_time(start), parse_time(end) if end else now
    if began is None or over is None:
        return "-"
    seconds = max(0, int((over - began).total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds // 60 % 60:02d}m"
    return f"{seconds // 86400}d{seconds // 3600 % 24:02d}h" if seconds < 1000 * 86400 else span(seconds)


def ahead(text: str, now: datetime) -> str:
    """How far off a coming moment is (`5d left`), `2h ago` when it has passed, empty when not given."""
    moment = parse_time(text)
    if moment is None:
        return ""
    seconds = int((moment - now).total_seconds())
    return f"{span(seconds)} left" if seconds > 0 else f"{span(-seconds)} ago"


def clock_time(text: str) -> str:
    """The local wall-clock time, eight columns (`14:03:59`); dashes when there is none."""
    moment = parse_time(text)
    return moment.astimezone().strftime("%H:%M:%S") if moment else "--:--:--"


def date_time(text: str) -> str:
    """Local date and time with seconds, or `-`."""
    moment = parse_time(text)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def duration(milliseconds: int) -> str:
    """At most six columns: `87ms`, `9.9s`, `2m05s`, `3h07m`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def size(count: int) -> str:
    """Bytes in at most six columns: `512B`, `1.5K`, `20M`, `3.1G`."""
    if count < 1024:
        return f"{count}B"
    value = float(count)
    for unit in "KMGT":
        value /= 1024
        if value < 1023.5 or unit == "T":
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    raise AssertionError("unreachable")


def count(number: int) -> str:
    """A count with thousands separated."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
