"""The shipped drive through the stack gives what it gave when its reference was written (`make golden-refresh`)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from replay_cases import record
from stack_cases import random_weights

from e2e_drive.cli import main
from e2e_drive.replay import open_recording
from e2e_drive.replay.exact import same_stack, steps
from e2e_drive.replay.golden import FORMAT, differences, read_reference, reference_of, write_reference

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def test_nothing_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"log={GOLDEN / 'drive.mcap'}", f"golden={GOLDEN / 'reference.json'}", f"out={tmp_path}"]
    with pytest.raises(SystemExit) as ended:
        main(["replay", "mode=golden", *words])
    assert ended.value.code == 0, capsys.readouterr().out


def test_one_other_weight_is_noticed(tmp_path: Path) -> None:
    """The frames of a short drive; one bias behind the path: every step goes ten centimetres farther to the left."""
    record(tmp_path / "drive.mcap", random_weights(tmp_path / "weights"), 4)
    recording = open_recording(tmp_path / "drive.mcap")
    stacks = [same_stack(recording, recording.config) for _ in range(3)]
    with torch.no_grad():
        stacks[2].model.trajectory_decoder.step_head.bias[1] += 0.1
    before, same, other = (reference_of(steps(recording, stack), {}) for stack in stacks)
    assert differences(before, same) == []
    assert any("path differs" in line for line in differences(before, other))


def test_what_counts_as_a_change(tmp_path: Path) -> None:
    row = {"frame_id": 0, "brake": 0.5, "path": [[1.0, 2.0]], "places": "CACA", "latency_s": None}
    before = {"format": FORMAT, "about": {"log": "a"}, "ticks": [row]}
    write_reference(tmp_path / "r.json", before)
    assert read_reference(tmp_path / "r.json") == before
    assert differences(before, before) == []
    assert differences(before, {**before, "ticks": [{**row, "brake": 0.504}]}) == []
    for change in ({"brake": 0.51}, {"path": [[1.0, 2.1]]}, {"places": "CAED"}, {"latency_s": 0.1}):
        assert len(differences(before, {**before, "ticks": [{**row, **change}]})) == 1
    assert len(differences(before, {**before, "ticks": []})) == 1
    assert len(differences(before, {**before, "about": {"log": "b"}})) == 1
