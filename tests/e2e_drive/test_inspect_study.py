"""`make inspect-study`, held to what is asked of `inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e_drive.cli import main


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_faults_are_found_and_little_else(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "inspect", "seed=0", f"out={tmp_path}"])
    assert ended.value.code == 0
    metrics = json.loads((tmp_path / "inspect.json").read_text())["metrics"]
    assert metrics["inspect.recall"] >= 0.95
    assert metrics["inspect.precision"] >= 0.9
    assert metrics["inspect.faults"] >= 50
