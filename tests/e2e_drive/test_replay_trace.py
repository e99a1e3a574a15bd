"""A CSV of a radio link under a recorded drive: `replay mode=schedule link=trace`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from export_cases import write_log
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from e2e_drive import config_dir
from e2e_drive.cli import main

HEAD = "time_s,up_mbps,down_mbps,rtt_ms\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = OmegaConf.to_yaml(compose("evaluate", ["scheduler=edge_only"]))
    return write_log(tmp_path_factory.mktemp("log") / "drive.mcap", 41, config=config)


def cli(capsys: pytest.CaptureFixture[str], log: Path, out: Path, *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "mode=schedule", f"log={log}", f"out={out}", "link=trace", *words])
    return int(str(ended.value.code)), capsys.readouterr().err


def test_latencies_follow_the_trace(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fast second, a slow one: the picture of 6 kB waits for the radio."""
    trace = tmp_path / "trace.csv"
    trace.write_text(HEAD + "0.0,80,80,10\n1.0,2,80,60\n")
    assert cli(capsys, log, tmp_path, f"link.path={trace}", "link.at_end=hold")[0] == 0
    with (tmp_path / "frames.csv").open(newline="") as file:
        rows = [(float(row["capture_s"]), row["latency_s"]) for row in csv.DictReader(file)]
    fast = [float(latency) for capture_s, latency in rows if capture_s < 0.9 and latency]
    slow = [float(latency) for capture_s, latency in rows if capture_s > 1.1 and latency]
    assert len(fast) >= 8
    assert slow
    assert min(slow) > max(fast) + 0.04  # half a round trip more, at least
    assert json.loads((tmp_path / "replay.json").read_text())["remote_share"] == 1.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file; a CSV with columns time_s, up_mbps, down_mbps, rtt_ms is needed"),
        ("time_s,up_mbps\n0,1\n", "row 1: one column down_mbps is needed"),
        (HEAD + "0,1,1,fast\n", "row 2: column rtt_ms must be a number of 0 or more, received 'fast'"),
        (HEAD + "0,1,1,5\n0,1,1,5\n", "row 3: column time_s must increase"),
    ],
)
def test_a_bad_trace_is_one_line(
    content: str | None, told: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.csv"
    if content is not None:
        trace.write_text(content)
    code, err = cli(capsys, log, tmp_path / "out", f"link.path={trace}")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert told in err
    assert "trace.csv" in err
    assert not (tmp_path / "out").exists()
