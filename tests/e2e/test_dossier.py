"""What a real agent did to its workspace is in the record, the log and the dossier, and no secret is."""

from __future__ import annotations

import hashlib
import json

import pytest
from support.page_verifier import by_page

NEEDLE = "needle-5f1c0ffee0badc0de-needle"
AGENT = r"""
echo more >> notes.txt
echo "$API_KEY" > stolen.txt
mkdir -p .git/hooks && echo 'echo pwned' > .git/hooks/post-checkout
ln -s /etc/passwd link
rm old.txt
curl -s https://refused.example/ || true
printf 'said <b>\033[2J\n'
"""


@pytest.mark.parametrize(
    "runtime",
    [pytest.param(("--no-sandbox",), marks=pytest.mark.docker), pytest.param((), marks=pytest.mark.gvisor)],
    ids=["runc", "gvisor"],
)
def test_the_story_of_a_run(moat, tmp_path, runtime):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "notes.txt").write_text("one\n")
    (workspace / "old.txt").write_text("old\n")
    (workspace / ".env").write_text(f"KEY={NEEDLE}\n")

    moat(
        "run", *runtime, "--policy", "strict", workspace, "--secret", "API_KEY=env://NEEDLE",
        "--", "sh", "-c", AGENT, NEEDLE=NEEDLE,
    )  # fmt: skip
    moat("audit", "--html", tmp_path / "dossier.html", "--export", tmp_path / "proof.json")

    [folder] = (moat.home / "runs").iterdir()
    written = (folder / "workspace.json").read_bytes()
    record = json.loads(written)
    assert {change["path"]: change["change"] for change in record["changes"]} == {
        ".git/hooks/post-checkout": "added", "link": "added", "notes.txt": "changed", "old.txt": "deleted",
        "stolen.txt": "added",
    }  # fmt: skip
    bundle = json.loads((tmp_path / "proof.json").read_bytes())
    reasons = [entry["data"].get("reason", "") for entry in bundle["entries"]]
    said = f"3 added, 1 changed, 1 deleted; workspace.json sha256 {hashlib.sha256(written).hexdigest()}"
    assert said in reasons

    page = (tmp_path / "dossier.html").read_text()
    assert NEEDLE not in page
    assert NEEDLE.encode() not in written
    for words in ("post-checkout", "refused.example", "said &lt;b&gt;␛[2J", "+more", "INTACT"):
        assert words in page, words
    carried = page.partition('id="bundle" data-finished>')[2].partition("</script>")[0]
    pin = bytes.fromhex((moat.home / "heads" / "signing.pub").read_text().strip())
    [found] = by_page([(carried.encode(), pin, True)])
    assert (found["verdict"], found["tree"]) == ("INTACT", True)
