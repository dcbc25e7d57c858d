"""Draw the pictures in `screenshots/` from the session that `record_session` kept: the same bytes every time.

    python tests/support/make_screenshots.py [FOLDER]

The screen looks at the recorded files through the real engine, its clock stopped at the session's end. Only
what would look at this machine instead is answered from the recording: the doctor's checks. The PNGs are
made from the SVGs and say in their own text which one (`svg`, its SHA-256).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import msgspec  # noqa: E402
from support.screen_states import Focused, Seen, Step, Typed, take  # noqa: E402
from support.waiting import screen_text, wait_for  # noqa: E402
from textual.widgets import Input  # noqa: E402

from engine import CheckResult, GrantInfo, Home, RunInfo  # noqa: E402
from engine.credentials import Credential, CredentialStore  # noqa: E402
from moat_tui.screen.app import MoatApp  # noqa: E402
from moat_tui.screen.engine_face import Engine  # noqa: E402

PICTURES = ROOT / "screenshots"
SESSION = PICTURES / "session"
FONT = "DejaVu Sans Mono"
REVIEW = "review-pr-482"

REQUEST: tuple[Step, ...] = ("2", Focused("requests-list"))
AUDIT: tuple[Step, ...] = ("4", Focused("audit-entries"), "enter", Seen("Audit of review-pr-482", "console"))
START: tuple[Step, ...] = (
    *(
        "s",
        Seen("Start a run"),
        Typed("workspace", "~/src/shop"),
        Typed("command", "claude -p 'fix the test'"),
    ),
    *(Typed("name", "fix-rounding"), Seen("agent.yaml")),
)
FILTER: tuple[Step, ...] = (
    *(*REQUEST, "slash", Focused("requests-filter"), Seen("host:github status")),
    *(Typed("requests-filter", "host:github !status:200 "), Seen(" of ")),
)
DRAWN: dict[str, tuple[Step, ...]] = {
    "first-start-80x24": (),
    "main-120x40": REQUEST,
    "main-80x24": REQUEST,
    "main-light-120x40": ("ctrl+t", *REQUEST),
    "request-120x40": (*REQUEST, "up", "up", "up", "enter", Seen("Request headers", "a shows it")),
    "filter-120x40": FILTER,
    "output-120x40": ("1", "o", Seen("Output of", "waiting for the next task")),
    "audit-120x40": AUDIT,
    "verify-120x40": (*AUDIT, "c", Focused("audit-chains"), "V", Seen("TAMPERED")),
    "doctor-80x24": ("D", Seen("Certificate authority")),
    "start-120x40": START,
    "start-80x24": START,
    "add-grant-80x24": ("a", Seen("anthropic"), *"github", "enter", Seen("Add a grant: GitHub", "None in")),
    "grants-80x24": ("3", Focused("grants-table")),
    "help-120x40": ("question_mark", Seen("Every run of this home")),
}
EMPTY = "first-start"  # pictures of a home without anything in it begin with this


class Recording(msgspec.Struct):
    """session.json. ended: when the clock stands still, RFC 3339."""

    ended: str
    grants: list[GrantInfo]
    checks: list[CheckResult]


class RecordedEngine(Engine):
    """The engine over the recorded home; this machine is left out of it."""

    def __init__(self, home: Home, checks: list[CheckResult]) -> None:
        super().__init__(home)
        self._checks = checks

    async def checks(self) -> list[CheckResult]:
        return self._checks

    async def find_token(self, provider: str) -> None:
        return None

    async def reap(self) -> list[RunInfo]:
        return []  # the recorded runs stay live: their supervisors were, when it was recorded


def read_recording(session: Path = SESSION) -> Recording:
    return msgspec.json.decode((session / "session.json").read_bytes(), type=Recording)


def put_back(session: Path, person: Path) -> Home:
    """The recorded home as it was, below the directory `person`, with worthless values for its grants."""
    home = Home(person / ".moat")
    for file in (session / "home").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.name == "metadata.json":
                data = data.replace(b'"~/', f'"{person}/'.encode())
            home.write(home.root / file.relative_to(session / "home"), data)
    store = CredentialStore(home)
    for grant in read_recording(session).grants:
        kept = {"source": grant.source}
        store.put(Credential(grant.provider, "not a real value", grant.created_at, metadata=kept))
    shop = person / "src" / "shop"
    shop.mkdir(parents=True)
    (shop / "agent.yaml").write_bytes((session / "agent.yaml").read_bytes())
    return home


@contextlib.contextmanager
def somewhere_fixed(person: Path) -> Iterator[None]:
    """The environment that pictures depend on."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("MOAT_")]:
        del os.environ[name]
    os.environ.update({"HOME": str(person), "TZ": "UTC", "MOAT_KEYRING_BACKEND": "file"})
    time.tzset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        time.tzset()


async def draw(name: str, session: Path = SESSION) -> str:
    """The picture as SVG."""
    recording = read_recording(session)
    width, height = map(int, name.rpartition("-")[2].split("x"))
    with tempfile.TemporaryDirectory(prefix="moat-picture-") as folder, somewhere_fixed(Path(folder)):
        empty = name.startswith(EMPTY)
        home = Home(Path(folder) / ".moat") if empty else put_back(session, Path(folder))
        face = RecordedEngine(home, recording.checks)
        runs = {run.name: run.id for run in face.runs()}
        moment = datetime.fromisoformat(recording.ended)
        app = MoatApp(face, home_label="~/.moat", run_id=runs.get(REVIEW, ""), clock=lambda: moment)
        app.animation_level = "none"
        async with app.run_test(size=(width, height)) as pilot:
            begin = Seen("Welcome to Moat") if empty else Seen("5 runs", "4 grants", "PATCH")
            await take(pilot, (begin,))
            if not empty:
                await wait_for(pilot, lambda: app.screen.query_one("#audit-entries").store)  # type: ignore[attr-defined]
            await take(pilot, DRAWN[name])
            return _plain_fonts(await _settled(pilot))


async def _settled(pilot) -> str:
    """The picture, once it stays the same."""
    seen, same = "", 0
    for _ in range(200):
        await pilot.pause(0.03)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        now = pilot.app.export_screenshot(title="Moat")
        same = same + 1 if now == seen else 0
        seen = now
        if same == 8:
            return now
    raise AssertionError("the screen does not come to rest:\n" + screen_text(pilot))


def _plain_fonts(svg: str) -> str:
    """With the fonts of whoever looks: Textual's SVG fetches one from the network."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: [^;]*;", f'font-family: "{FONT}", Menlo, Consolas, monospace;', svg)


def rasterise(svg: str) -> bytes:
    """PNG, with the SVG's hash in its text."""
    import resvg_py
    from PIL import Image, PngImagePlugin

    drawn = resvg_py.svg_to_bytes(svg_string=svg, font_family=FONT, monospace_family=FONT)
    image = Image.open(io.BytesIO(bytes(drawn))).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    text = PngImagePlugin.PngInfo()
    text.add_text("svg", sha256(svg.encode()).hexdigest())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True, pnginfo=text)
    return out.getvalue()


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if old.stem not in DRAWN:
            old.unlink()
    for name in DRAWN:
        svg = asyncio.run(draw(name))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}.png").write_bytes(rasterise(svg))


if __name__ == "__main__":
    main()
