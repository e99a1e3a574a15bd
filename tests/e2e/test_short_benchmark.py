"""A benchmark of two short drives: real processes, real worlds; what is done is not done again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(280)
def test_a_benchmark_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "e2e_drive.cli", "evaluate", "benchmark=thornby", "benchmark.ids=[thornby_00,thornby_01]",
        f"out={tmp_path}", "driver=expert", "max_s=0.5", "cars=0", "video.enabled=false", "log_images=false",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    summary = json.loads((tmp_path / "benchmark.json").read_text())
    assert summary["drives"] == 2
    files = {name: tmp_path / f"{name}-seed0/results.json" for name in ("thornby_00", "thornby_01")}
    kept = files["thornby_00"].stat().st_mtime_ns
    files["thornby_01"].unlink()  # as if it had been cut off
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    assert files["thornby_00"].stat().st_mtime_ns == kept
    assert files["thornby_01"].is_file()
    assert json.loads((tmp_path / "benchmark.json").read_text()) == summary
