"""One step of the stack, seen from outside: latency acts, late answers are dropped, same seed is same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stack_cases import NEAR, make_frame, make_stack, random_weights

from e2e_drive.dispatch import DeadlineConfig
from e2e_drive.errors import UserError
from e2e_drive.stack import StepRecord, weights_folder
from planner import network_inputs
from scheduling import LinkGeometry, Place


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"))


def drive(weights: Path, ticks: int, *overrides: str, geometry: LinkGeometry = NEAR) -> list[StepRecord]:
    stack = make_stack(weights, *overrides)
    records = []
    for tick in range(ticks):
        stack.step(make_frame(stack, tick), geometry)
        assert stack.last is not None
        records.append(stack.last)
    return records


@pytest.mark.parametrize("link", ["link=radio", "link=off", "link=fixed"])
def test_a_trajectory_acts_from_the_moment_it_is_ready(weights: Path, link: str) -> None:
    records = drive(weights, 16, link)
    ready_s = {r.timeline.frame_id: r.timeline.ready_s for r in records if r.timeline is not None}
    assert records[0].trajectory is None  # nothing is known in the instant of the first exposure
    assert records[0].control.throttle == 0.0
    assert records[-1].trajectory is not None
    newest = -1.0
    for record in records:
        if record.trajectory is not None:
            known_s = ready_s[record.trajectory.frame_id]
            assert known_s is not None
            assert known_s <= record.frame.time_s + 1e-12
            assert record.trajectory.time_s >= newest  # never back to an older view of the world
            newest = record.trajectory.time_s
            used, now_s = record.trajectory.frame_id, record.frame.time_s
            better = [f for f, s in ready_s.items() if s is not None and s <= now_s and f > used]
            assert not better


def test_a_fixed_latency_is_kept_to_the_tick(weights: Path) -> None:
    records = drive(weights, 20, "link=fixed", "link.latency_s=0.5")
    first = next(i for i, record in enumerate(records) if record.trajectory is not None)
    assert first == 10  # 0.5 s at 20 Hz
    assert all(r.trajectory.frame_id == r.frame.frame_id - 10 for r in records[10::2] if r.trajectory is not None)


def test_without_a_link_all_stays_in_the_car(weights: Path) -> None:
    records = drive(weights, 8, "link=off")
    schedules = [record.schedule for record in records if record.schedule is not None]
    assert all(place == Place.CAR for schedule in schedules for place in schedule.place)
    assert all(record.timeline.bytes_up == 0 for record in records if record.timeline is not None)


def test_the_trajectory_is_the_networks(weights: Path) -> None:
    """In the car no codec touches a tensor: the path is what the model says when asked directly."""
    import torch

    stack = make_stack(weights, "link=off")
    frame = make_frame(stack, 0)
    stack.step(frame, NEAR)
    assert stack.last is not None
    assert stack.last.outputs is not None
    with torch.inference_mode():
        direct = stack.model(network_inputs(frame) | stack.model.first_state())
    np.testing.assert_allclose(np.asarray(stack.last.outputs["path"]), direct["path"].numpy(), atol=1e-4)


def test_same_seed_same_bits(weights: Path) -> None:
    one, other = (drive(weights, 10, "seed=5") for _ in range(2))
    assert [record.control for record in one] == [record.control for record in other]
    assert [record.timeline for record in one] == [record.timeline for record in other]


def test_deadline_follows_speed_within_bounds() -> None:
    deadline = DeadlineConfig(travel_m=0.8, shortest_s=0.08, longest_s=0.2)
    assert deadline.deadline_s(0.0) == 0.2
    assert deadline.deadline_s(8.0) == pytest.approx(0.1)
    assert deadline.deadline_s(30.0) == 0.08


def test_weights_that_are_not_there() -> None:
    with pytest.raises(UserError, match="weights=nowhere"):
        weights_folder("nowhere")
