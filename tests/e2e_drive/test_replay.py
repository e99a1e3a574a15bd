"""A recorded drive gives the same bits again, its schedules the same latencies, and a cut log all its whole seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap_protobuf.writer import Writer
from replay_cases import geometry_at, record
from stack_cases import random_weights

from e2e_drive.cli import main
from e2e_drive.errors import UserError
from e2e_drive.logs import read_drive
from e2e_drive.replay import open_recording
from e2e_drive.replay.exact import Step, difference, same_stack, steps
from e2e_drive.replay.schedules import replay_schedules

TICKS = 12


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def log(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "drive.mcap"
    record(path, weights, TICKS)
    return path


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *words])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_a_drive_is_repeated_bit_for_bit(log: Path) -> None:
    recording = open_recording(log)
    found = list(steps(recording, same_stack(recording, recording.config)))
    assert len(found) == TICKS
    assert [difference(step) for step in found] == [None] * TICKS
    assert any(step.record.trajectory is not None for step in found)
    assert [step.tick.geometry for step in found] == [geometry_at(tick) for tick in range(TICKS)]


def test_another_picture_is_noticed(log: Path) -> None:
    """One grey level in one pixel of one camera."""
    recording = open_recording(log)
    stack = same_stack(recording, recording.config)
    found = []
    for tick in recording.ticks():
        for image in list((tick.frame.images or {}).values())[:1]:
            image[64, 128, 1] ^= 1
        stack.step(tick.frame, geometry_at(tick.frame.frame_id))
        assert stack.last is not None
        found.append(difference(Step(tick, stack.last)))
    assert any(found)


def test_schedules_alone_are_those_of_the_drive(log: Path) -> None:
    recording = open_recording(log)
    ticks = list(recording.ticks(pictures=False))
    result = replay_schedules(recording, ticks, recording.config)
    assert len(result.outcomes) == TICKS // 2
    assert all(outcome.is_same for outcome in result.outcomes)
    assert result.summary()["differing_frames"] == 0


def test_another_computer_is_another_latency(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, f"log={log}", "mode=schedule", f"out={tmp_path}", "soc=thor", "link=off")[0] == 0
    found = json.loads((tmp_path / "replay.json").read_text())
    assert found["remote_share"] == 0.0
    assert found["mb_up"] == 0.0
    assert found["latency_p50_ms"] > 0.0
    assert len((tmp_path / "frames.csv").read_text().splitlines()) == TICKS // 2 + 1


def test_other_weights_are_judged(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(capsys, f"log={log}", "mode=model", f"out={tmp_path}")[0] == 0
    found = json.loads((tmp_path / "replay.json").read_text())
    assert found["frames"] > 0
    assert found["scored"] == 0  # 0.6 s are no horizon of 4 s
    assert found["path_change_max"] == 0.0  # the same weights: the same plans
    assert found["control_change_max"] == 0.0


def test_golden_fails_on_a_change_and_is_refreshed_on_purpose(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tmp_path / "reference.json"
    words = (f"log={log}", "mode=golden", f"golden={reference}", f"out={tmp_path}")
    assert cli(capsys, *words)[0] == 2  # there is none
    assert cli(capsys, *words, "refresh=true")[0] == 0
    assert cli(capsys, *words)[0] == 0
    stored = json.loads(reference.read_text())
    stored["ticks"][-1]["brake"] += 0.1
    reference.write_text(json.dumps(stored))
    code, out, _ = cli(capsys, *words)
    assert code == 1
    assert f"frame {TICKS - 1}: brake differs by 0.1" in out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 1.0))
def test_a_log_cut_at_any_byte_gives_every_whole_tick_before(log: Path, tmp_path: Path, share: float) -> None:
    whole = log.read_bytes()
    cut = tmp_path / "cut.mcap"
    length = int(share * (len(whole) - 1))
    cut.write_bytes(whole[:length])
    ends = [m for m in _control_ends(log) if m <= length]
    if not ends:  # perhaps not even the metadata
        return
    recording = open_recording(cut)
    ticks = list(recording.ticks(pictures=False))
    assert [tick.frame.frame_id for tick in ticks] == list(range(len(ticks)))
    assert len(ticks) == len(ends)
    assert "ends abruptly: whole up to" in recording.missing(ticks[-1].frame.time_s)


_ENDS: dict[Path, list[int]] = {}


def _control_ends(log: Path) -> list[int]:
    """Bytes of the file from which on each tick is in it: the shortest cut that still reads its control."""
    if log not in _ENDS:
        whole, found = log.read_bytes(), []
        cut = log.with_name("prefix.mcap")
        for tick in range(TICKS):
            low, high = 0, len(whole)
            while low < high:  # how much is read grows with the length
                middle = (low + high) // 2
                cut.write_bytes(whole[:middle])
                try:
                    count = sum(1 for _ in read_drive(cut, frozenset({"/control"})))
                except UserError:
                    count = 0
                low, high = (low, middle) if count > tick else (middle + 1, high)
            found.append(low)
        _ENDS[log] = found
    return _ENDS[log]


def test_what_is_no_drive_is_told_in_one_line(
    log: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mcap").write_text("no log")
    (tmp_path / "empty.mcap").write_bytes(b"")
    with (tmp_path / "foreign.mcap").open("wb") as file:
        writer = Writer(file)
        writer.add_metadata("other", {})
        writer.finish()
    record(tmp_path / "blind.mcap", weights, 2, images="none")
    record(tmp_path / "lossy.mcap", weights, 2, images="jpeg")
    for name, words in {
        "nowhere": "no such file", "text": "not an MCAP file", "empty": "not an MCAP file", "foreign": "holds no drive",
        "blind": "camera front_left is missing at 0.00 s", "lossy": "log_images=png",
    }.items():  # fmt: skip
        code, _, err = cli(capsys, f"log={tmp_path / name}.mcap", f"out={tmp_path}")
        assert code == 2, name
        assert words in err
        assert len(err.strip().splitlines()) == 1


def test_a_schema_that_is_not_known_is_told(tmp_path: Path) -> None:
    from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame

    with (tmp_path / "x.mcap").open("wb") as file:
        writer = Writer(file)
        writer.write_message("/ego", PoseInFrame(), log_time=0, publish_time=0)
        writer.finish()
    with pytest.raises(UserError, match=r"topic /ego has the schema foxglove\.PoseInFrame, which is not known"):
        list(read_drive(tmp_path / "x.mcap"))


def test_frames_without_weights_that_fit(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = cli(capsys, f"log={log}", "weights=nowhere", f"out={tmp_path}")
    assert code == 2
    assert "weights=nowhere" in err
