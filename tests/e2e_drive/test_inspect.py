"""Faults put into a made-up drive are found, at their time and of their kind; nothing is found where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bev import CameraRig
from e2e_drive.apps.options import rig_of
from e2e_drive.bench.faults import FAULTS, cut, inject
from e2e_drive.bench.inspect import Tally, match
from e2e_drive.bench.made_up_drive import write_made_up
from e2e_drive.bench.tampering import Log, Record, read_log, write_log
from e2e_drive.cli import main
from e2e_drive.inspect import Kind, detect, scan_log
from e2e_drive.replay.schedules import Outcome
from scheduling import Place, Schedule, Span, StageCost, StageGraph, StageNode, Timeline

SECONDS = 16


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages, always at the edge, that take 40 to 60 ms."""
    from test_configs import composed

    rig = CameraRig(tuple(replace(camera, width=64, height=32) for camera in rig_of(composed("evaluate")).cameras))
    stages = [("see", ("images",), ("seen",)), ("plan", ("seen",), ("planned",))]
    graph = StageGraph(
        tuple(StageNode(*stage, StageCost(1.0, 1.0, 0.0, dict.fromkeys(stage[2], 1))) for stage in stages),
        {"images": 1}, ("planned",), {}, {},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("inspect") / "clean.mcap"
    write_made_up(path, [_outcome(i) for i in range(10 * SECONDS)], rig, graph, seed=5, labelled=False)
    return path


def _outcome(i: int) -> Outcome:
    capture_s, latency_s = round(0.1 * i, 6), 0.05 + 0.01 * np.sin(i)
    schedule = Schedule(
        place=(Place.EDGE, Place.EDGE), codecs={}, fallback_at_s=None, expected_latency_s=0.05, policy="always"
    )
    spans = (Span("see", "edge", capture_s, capture_s + latency_s, 0),)
    return Outcome(2 * i, 0.1, schedule, Timeline(2 * i, capture_s, capture_s + latency_s, spans, False, 0, 0), None)


@pytest.fixture
def log(clean: Path) -> Log:
    return read_log(clean)


def test_nothing_is_found_in_a_clean_drive(clean: Path) -> None:
    assert [finding.evidence for finding in detect(scan_log(clean))] == []


@pytest.mark.parametrize("kind", list(FAULTS), ids=lambda kind: kind.name)
def test_a_fault_is_found_and_nothing_else(log: Log, kind: Kind, tmp_path: Path) -> None:
    for seed in range(3):
        log.taken.clear()
        tampered = Log(log.metadata, [_copy(record) for record in log.records])
        faults = inject(tampered, [kind], np.random.default_rng([seed, 1000]))
        write_log(tampered, tmp_path / "log.mcap")
        tallies = {kind: Tally() for kind in Kind}
        assert faults
        assert match(faults, detect(scan_log(tmp_path / "log.mcap")), [], tallies) == [], faults
        assert tallies[kind].found == 1


def _copy(record: Record) -> Record:
    message = type(record.message)()
    message.CopyFrom(record.message)
    return replace(record, message=message)


@pytest.mark.parametrize("share", [0.002, 0.3, 0.777, 0.9999])
def test_a_cut_log_is_inspected_as_far_as_it_goes(log: Log, share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.mcap"
    write_log(log, path)
    cut(path, share)
    found = detect(scan_log(path))
    assert [finding.kind for finding in found] == [Kind.CUT]
    assert "bytes at its end are no whole record" in found[0].evidence


def test_a_damaged_picture_ends_the_inspection_with_a_finding(log: Log, tmp_path: Path) -> None:
    log.of("/camera/rear", 8.0)[0].message.data = b"no picture"
    write_log(log, tmp_path / "log.mcap")
    (found,) = detect(scan_log(tmp_path / "log.mcap"))
    assert found.kind == Kind.CUT
    assert "/camera/rear at 8.00 s" in found.evidence


@pytest.fixture
def faulty(log: Log, tmp_path: Path) -> Path:
    """Black pictures at 5 s, a late answer at 9 s, in a folder with a clean log of another name."""
    folder = tmp_path / "logs"
    write_log(log, folder / "good.mcap")
    for record in log.of("/camera/tele", 5.0, 5.95):
        log.records.remove(record)
    for record in log.of("/timeline", 9.0, 9.05):
        record.message.ready_s += 0.7
    write_log(log, folder / "bad.mcap")
    return folder


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["inspect", *words, f"out={tmp_path / 'out'}", "understand=keywords"])
        said = capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err

    return call


def test_a_folder_gives_a_table_and_a_report(faulty: Path, cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli(f"log={faulty}")
    assert code == 0
    assert "camera tele: 10 pictures missing in 1.00 s, where one is due every 0.10 s" in out
    assert "1 frame late: up to" in out
    html = (tmp_path / "out/report.html").read_text()
    assert "2 findings in 2 logs" in html
    assert html.count("data:image/png;base64") == 2
    assert "Nothing found in: good.mcap" in html
    logs = json.loads((tmp_path / "out/findings.json").read_text())["logs"]
    found = {finding["kind"]: finding for finding in logs[0]["findings"]}
    assert found["sensor dropout"]["severity"] == "high"
    assert found["sensor dropout"]["from_s"] == pytest.approx(5.0)
    assert found["sensor dropout"]["to_s"] == pytest.approx(6.0)
    assert (tmp_path / "out" / found["latency spike"]["picture"]).read_bytes().startswith(b"\x89PNG")


def test_words_choose_detectors_and_times(faulty: Path, cli: Cli) -> None:
    where = f"log={faulty / '*.mcap'}"
    assert "late" in cli(where, "latency spikes after 8 s")[1]
    assert "nothing found" in cli(where, "latency spikes after 10 s")[1]
    out = cli(where, "did", "any", "camera", "go", "blind", "in", "the", "first", "ten", "seconds?")[1]
    assert "tele" in out
    assert "late" not in out
    assert "nothing found" in cli(where, "did it nearly hit anyone?")[1]


def test_what_is_no_log_is_told_in_one_line(faulty: Path, cli: Cli) -> None:
    (faulty / "text.mcap").write_text("no log")
    (faulty / "empty").mkdir()
    for where, words in {
        "nowhere.mcap": "no such file", "text.mcap": "not an MCAP file", "empty": "there is no log",
        "x*": "there is no log",
    }.items():  # fmt: skip
        code, out, err = cli(f"log={faulty / where}")
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.strip().splitlines()) == 1
    code, out, err = cli(f"log={faulty}")  # the others are inspected all the same
    assert code == 2
    assert "tele" in out
    assert "not an MCAP file" in err


def test_no_time_at_all_is_refused(faulty: Path, cli: Cli) -> None:
    code, _, err = cli(f"log={faulty / 'bad.mcap'}", "latency between 9 and 4 s")
    assert code == 2
    assert "which is no time at all" in err
