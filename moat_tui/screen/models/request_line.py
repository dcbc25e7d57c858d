"""One request as one line, in whatever width there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from moat_tui.screen.models.moments import clock_time, duration
from moat_tui.screen.models.moments import size as size_text
from moat_tui.screen.models.pieces import PLAIN, Piece, fit, fit_right
from moat_tui.screen.models.request_state import is_open, run_of
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import RequestRecord

_TIME, _METHOD, _STATUS, _MS, _SIZE, _DECISION = 8, 6, 3, 6, 6, 9


_BROKEN_OFF = "broken off"  # how the engine's errors begin when nobody ended the request


class Columns(NamedTuple):
    """Widths in columns; `host` 0 means that host and path share the `path` column, and a `size` or `run`
    of 0 that there is no such column: then only an open request says its size, behind its path.
    """

    host: int
    path: int
    grant: int
    size: int
    run: int


def columns(width: int, *, runs: bool = False) -> Columns:
    """How `width` columns are shared out; the fixed ones are time, method, status, ms and decision.

    runs: with the name of the run that made each.
    """
    grant = 9 if width < 110 else 14
    run = 0 if not runs else 10 if width < 110 else 14
    size = _SIZE if width >= 100 else 0
    fixed = _TIME + _METHOD + _STATUS + _MS + _DECISION + grant + 6
    fixed += sum(column + 1 for column in (run, size) if column)
    rest = max(12, width - fixed)
    if rest < 44:
        return Columns(0, rest, grant, size, run)
    host = min(32, rest * 2 // 5)
    return Columns(host, rest - host - 1, grant, size, run)


def heading(width: int, *, runs: bool = False) -> str:
    """The column titles over `request_pieces`."""
    layout = columns(width, runs=runs)
    where = fit("Host and path", layout.path)
    if layout.host:
        where = f"{fit('Host', layout.host)} {fit('Path', layout.path)}"
    run = f"{fit('Run', layout.run)} " if layout.run else ""
    size = f"{fit_right('Size', layout.size)} " if layout.size else ""
    return (
        f"{fit('Time', _TIME)} {run}{fit('Method', _METHOD)} {where} {fit('St.', _STATUS)} "
        f"{fit_right('Took', _MS)} {size}{fit('Grant', layout.grant)} {fit('Decision', _DECISION)}"
    )


def request_pieces(
    record: RequestRecord, width: int, *, marked: bool = False, runs: bool = False
) -> list[Piece]:
    """The line for `record`, as wide as `heading` with the same arguments; `marked` as one searched for."""
    layout = columns(width, runs=runs)
    host, path = place(record)
    pieces: list[Piece] = [(clock_time(record.ts), "dim"), ("▸" if marked else " ", "warn")]
    if layout.run:
        pieces.append((fit(visible(run_of(record)), layout.run) + " ", PLAIN))
    pieces.append((fit(visible(record.method), _METHOD) + " ", "strong"))
    size = size_text(record.bytes_in + record.bytes_out)
    so_far = f" {fit_right(size, _SIZE)}" if is_open(record) and not layout.size else ""
    room = layout.path - len(so_far)
    if layout.host:
        pieces += [(fit(host, layout.host) + " ", "info"), (fit(path, room), PLAIN)]
    else:
        shown = fit(host + path, room)
        pieces += [(shown[: len(host)], "info"), (shown[len(host) :], PLAIN)]
    pieces.append((so_far + " ", "dim"))
    status, role = status_piece(record)
    decision, decision_role = decision_piece(record)
    pieces += [
        (fit(status, _STATUS) + " ", role),
        (fit_right(duration(record.duration_ms), _MS) + " ", "dim"),
        *([(fit_right(size, layout.size) + " ", "dim")] if layout.size else []),
        (fit(visible(record.grant) or "-", layout.grant) + " ", PLAIN if record.grant else "dim"),
        (fit(decision, _DECISION), decision_role),
    ]
    return pieces


def place(record: RequestRecord) -> tuple[str, str]:
    """(host, path with query), made visible; the path is `/` when there is none."""
    try:
        parts = urlsplit(record.url)
        host, path = parts.netloc, parts.path + (f"?{parts.query}" if parts.query else "")
    except ValueError:  # an agent can ask for anything; show it as it came
        host, path = "", record.url
    return visible(record.host or host), visible(path or "/")


def status_piece(record: RequestRecord) -> Piece:
    """The status code, `err` when no answer came, `-` while there is none."""
    code = record.status_code
    if not code:
        return ("err", "bad") if record.error else ("-", "dim")
    role = "ok" if code < 300 else "info" if code < 400 else "warn" if code < 500 else "bad"
    return str(code), role


def decision_piece(record: RequestRecord) -> Piece:
    if is_open(record):
        return "◌ open", "warn"
    if record.error.startswith(_BROKEN_OFF):
        return "✗ broken", "bad"
    if record.decision == "allowed":
        return "✓ allowed", "ok"
    return f"✗ {visible(record.decision)}", "bad"


def weigh(record: RequestRecord) -> int:
    """About how many bytes a kept record holds."""
    headers = sum(len(name) + len(value) for name, value in record.request_headers.items())
    headers += sum(len(name) + len(value) for name, value in record.response_headers.items())
    return 400 + len(record.url) + headers + len(record.request_body) + len(record.response_body)
