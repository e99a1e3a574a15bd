"""The report in a real browser, where there is one: it fits a laptop's screen, prints, plays and sorts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_report_page import write_drive

from e2e_drive.report.drives import find_drives, read_folder
from e2e_drive.report.page import write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
WIDTH, HEIGHT = 1366, 768
# Runs on a copy of the page and leaves what it finds where --dump-dom shows it.
_PROBE = """<script>addEventListener("load", async () => {
  const video = document.querySelector("video");
  video.preload = "auto";
  video.load();
  await new Promise((done) => { video.onloadeddata = done; video.onerror = done; setTimeout(done, 5000); });
  const table = [...document.querySelectorAll("table")].at(-1);
  table.tHead.rows[0].cells[5].click();
  document.body.dataset.found = JSON.stringify({
    width: document.documentElement.scrollWidth,
    clip_s: video.error ? null : video.duration,
    scores: [...table.tBodies[0].rows].map((row) => Number(row.cells[5].textContent)),
    unseen: [...document.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().height < 50).length,
  });
})</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser here: apt-get install chromium-headless-shell"),
]


def browse(page: Path, *flags: str) -> str:
    assert BROWSER is not None
    size = f"--window-size={WIDTH},{HEIGHT}"
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", size, profile, *flags, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three policies on three links, with one clip."""
    root = tmp_path_factory.mktemp("study")
    for i, policy in enumerate(("edge_only", "exact", "oracle")):
        for k, link in enumerate(("urban", "congested", "tunnel")):
            for seed in (0, 1):
                folder = root / f"{policy}/{link}/r_00-seed{seed}"
                write_drive(folder, policy, link, seed, 70.0 + 9 * i + k + seed, video=(i, k, seed) == (0, 0, 0))
    write_page([read_folder(found, root) for found in find_drives(root)], root / "report.html", "A study", 5.0)
    return root / "report.html"


def found_by(probe: str, page: Path) -> Any:
    copy = page.with_name("probed.html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{probe}</body>"), encoding="utf-8")
    dom = browse(copy, "--virtual-time-budget=20000", "--dump-dom")
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match is not None
    return json.loads(match.group(1).replace("&quot;", '"'))


def test_it_fits_a_laptop_plays_and_sorts(page: Path) -> None:
    found = found_by(_PROBE, page)
    assert found["width"] <= WIDTH
    assert found["unseen"] == 0
    assert found["clip_s"] == pytest.approx(4.0, abs=0.2)
    scores: Sequence[float] = found["scores"]
    assert list(scores) == sorted(scores, reverse=True)


def test_it_prints(page: Path) -> None:
    pdf = page.with_suffix(".pdf")
    browse(page, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", pdf.read_bytes())
    assert 1 <= len(boxes) <= 8
    width, height = (float(side) for side in boxes[0])
    assert (width, height) == (pytest.approx(842, abs=2), pytest.approx(595, abs=2))  # A4 on its side, in points
