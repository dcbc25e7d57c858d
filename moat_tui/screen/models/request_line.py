"""One request as one line, in whatever width there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from moat_tui.screen.models.moments import clock_time, duration
from moat_tui.screen.models.pieces import PLAIN, Piece, fit, fit_right
from moat_tui.screen.models.visible import visible

if TYPE_CHECKING:
    from engine import RequestRecord

_TIME, _METHOD, _STATUS, _MS, _DECISION = 8, 6, 3, 6, 9


class Columns(NamedTuple):
    """Widths in columns; `host` 0 means that host and path share the `path` column."""

    host: int
    path: int
    grant: int


def columns(width: int) -> Columns:
    """How `width` columns are shared out; the fixed ones are time, method, status, ms and decision."""
    grant = 9 if width < 110 else 14
    fixed = _TIME + _METHOD + _STATUS + _MS + _DECISION + grant + 6
    rest = max(12, width - fixed)
    if rest < 44:
        return Columns(0, rest, grant)
    host = min(32, rest * 2 // 5)
    return Columns(host, rest - host - 1, grant)


def heading(width: int) -> str:
    """The column titles over `request_pieces`."""
    layout = columns(width)
    where = fit("Host and path", layout.path)
    if layout.host:
        where = f"{fit('Host', layout.host)} {fit('Path', layout.path)}"
    return (
        f"{fit('Time', _TIME)} {fit('Method', _METHOD)} {where} {fit('St.', _STATUS)} "
        f"{fit_right('Took', _MS)} {fit('Grant', layout.grant)} {fit('Decision', _DECISION)}"
    )


def request_pieces(record: RequestRecord, width: int, *, marked: bool = False) -> list[Piece]:
    """The line for `record`, at least as many columns as `heading(width)`; `marked` as one searched for."""
    layout = columns(width)
    host, path = place(record)
    pieces: list[Piece] = [
        (clock_time(record.ts), "dim"),
        ("▸" if marked else " ", "warn"),
        (fit(visible(record.method), _METHOD) + " ", "strong"),
    ]
    if layout.host:
        pieces += [(fit(host, layout.host) + " ", "info"), (fit(path, layout.path) + " ", PLAIN)]
    else:
        shown = fit(host + path, layout.path)
        pieces += [(shown[: len(host)], "info"), (shown[len(host) :] + " ", PLAIN)]
    status, role = status_piece(record)
    decision, decision_role = decision_piece(record)
    pieces += [
        (fit(status, _STATUS) + " ", role),
        (fit_right(duration(record.duration_ms), _MS) + " ", "dim"),
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
    if record.decision == "allowed":
        return "✓ allowed", "ok"
    return f"✗ {visible(record.decision)}", "bad"


def weigh(record: RequestRecord) -> int:
    """About how many bytes a kept record holds."""
    headers = sum(len(name) + len(value) for name, value in record.request_headers.items())
    headers += sum(len(name) + len(value) for name, value in record.response_headers.items())
    return 400 + len(record.url) + headers + len(record.request_body) + len(record.response_body)
