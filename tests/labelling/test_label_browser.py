"""The page in a real browser: keys answer, what was typed survives, the CSV can be imported."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from label_films import write_cases

from radloop.labelling.project import Asking, import_sheets, load, next_queues, start
from radloop.labelling.state import Question

BROWSER = next((b for n in ("chromium", "google-chrome") if (b := shutil.which(n))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

# Presses keys as a person would; what the page then exports is put where --dump-dom shows it.
PRESS = """
const press = key => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
%s
const shown = document.createElement("pre");
shown.id = "exported";
shown.textContent = sheet();
document.body.append(shown);
"""


def opened(page: Path, profile: Path, script: str) -> str:
    """What the page exports after `script`; the profile keeps what the browser stores."""
    assert BROWSER is not None
    copy = page.with_name("pressed.html")
    copy.write_text(
        page.read_text().replace("</body>", f"<script>{PRESS % script}</script></body>")
    )
    run = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
         "--dump-dom", copy.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    (found,) = re.findall(r'<pre id="exported">(.*?)</pre>', run.stdout, re.DOTALL)
    return html.unescape(found)


def test_answers_typed_in_the_page_are_imported(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, [0, 1, 0, 1], films=True)
    project = tmp_path / "p"
    start(project, cases, Question("broken"), readers=["anna"])
    _, (issued,) = next_queues(project, Asking(4, 0.0))
    assert issued.page is not None
    keys = """
      press("1"); press("u"); press("ArrowLeft"); press("0");
      find("comment").value = 'unsharp, "moved"'; find("comment").oninput();
      press("ArrowRight"); press("1");
    """
    exported = opened(issued.page, tmp_path / "profile", keys)
    sheet = tmp_path / "q001-anna.csv"
    sheet.write_text(exported)
    state, (given,) = import_sheets(project, [sheet], reader="anna")
    # 1, then u taken back to 0 on the second picture, a comment on the third, 1 on the fourth
    assert [value for _, value, _, _ in given.answers] == [1, 0, 1]
    assert given.empty == 1
    assert all(seconds is not None for *_, seconds in given.answers)
    again = opened(issued.page, tmp_path / "profile", "")
    assert [line.split(",")[4] for line in again.splitlines()[1:]] == ["1", "0", "", "1"]
    assert 'unsharp, ""moved""' in again
    assert load(project)[0].said == state.said
