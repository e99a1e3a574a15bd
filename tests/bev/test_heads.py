"""Perception heads: what is taught comes out again, and alignment of the memory is exact where it can be."""

import math

import numpy as np
import pytest
import torch

from bev import BevGrid, BoxKind
from bev.frustum import DepthBins
from bev.heads import Agent, Box, DepthCompletion, decode
from bev.heads.losses import centre_blobs, completion_loss, depth_loss, detection_losses
from bev.memory import align

GRID = BevGrid()


def some_boxes() -> torch.Tensor:
    """Two cars and a pedestrian, and one car that is hidden."""
    truth = torch.zeros(1, 5, len(Agent))
    truth[0, 0] = torch.tensor([1, 0, 10.3, -2.2, 0.8, 4.4, 1.9, 1.5, 0.4, 6.0, 1.0])
    truth[0, 1] = torch.tensor([1, 0, 30.0, 8.0, 1.5, 9.0, 2.5, 3.2, -2.5, 0.0, 0.0])
    truth[0, 2] = torch.tensor([1, 1, 5.0, 5.1, 0.9, 0.5, 0.6, 1.8, 1.0, 0.5, -1.0])
    truth[0, 3] = torch.tensor([0, 0, 20.0, -8.0, 0.8, 4.4, 1.9, 1.5, 0.0, 0.0, 0.0])
    return truth


def perfect_answer(truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Heatmap and boxes that say nothing but the truth, found by descent on the losses alone."""
    heatmap = torch.full((1, len(BoxKind), 64, 64), -6.0, requires_grad=True)
    boxes = torch.zeros(1, len(Box), 64, 64, requires_grad=True)
    known = torch.ones(1, 64, 64)
    optimiser = torch.optim.Adam([heatmap, boxes], lr=0.3)
    for step in range(160):
        for group in optimiser.param_groups:
            group["lr"] = 0.3 * (1 - step / 160)
        optimiser.zero_grad()
        focal, error = detection_losses(heatmap, boxes, truth, known, GRID)
        (focal + error).backward()
        optimiser.step()
    assert focal < 0.1
    assert error < 0.01
    return heatmap.detach(), boxes.detach()


def test_what_is_taught_is_decoded() -> None:
    truth = some_boxes()
    found, cell = decode(*perfect_answer(truth), GRID, agents=6)
    strong = found[0, found[0, :, Agent.SCORE] > 0.5]
    assert len(strong) == 3
    for row in truth[0, :3]:
        nearest = strong[(strong[:, Agent.X : Agent.Y + 1] - row[Agent.X : Agent.Y + 1]).norm(dim=1).argmin()]
        assert nearest[Agent.KIND] == row[Agent.KIND]
        torch.testing.assert_close(
            nearest[Agent.X : Agent.HEIGHT + 1], row[Agent.X : Agent.HEIGHT + 1], atol=0.15, rtol=0.03
        )
        assert abs(math.remainder(float(nearest[Agent.YAW] - row[Agent.YAW]), math.tau)) < 0.05
        torch.testing.assert_close(nearest[Agent.VX :], row[Agent.VX :], atol=0.2, rtol=0.05)
    assert int(cell[0, 0]) // 64 in range(64)


def test_hidden_and_unknown_places_teach_nothing() -> None:
    truth, known = some_boxes(), torch.ones(1, 64, 64)
    heatmap = torch.zeros(1, len(BoxKind), 64, 64, requires_grad=True)
    known[:, 20:30, 20:50] = 0.0
    focal, _ = detection_losses(heatmap, torch.zeros(1, len(Box), 64, 64), truth[:, 3:], known, GRID)
    focal.backward()
    assert heatmap.grad is not None
    assert not heatmap.grad[:, :, 20:30, 20:50].any()
    assert (heatmap.grad[:, :, 40:] > 0).all()  # elsewhere nobody stands


def test_blobs_peak_at_centres_and_never_exceed_one() -> None:
    truth = some_boxes()
    counts = truth[..., Agent.SCORE] > 0.5
    row, column = torch.tensor([[0, 63, 10, 5, 0]]), torch.tensor([[0, 63, 10, 5, 0]])
    blobs = centre_blobs(truth, counts, row, column, GRID)
    assert blobs.max() == 1.0
    assert blobs[0, 0, 0, 0] == 1.0  # at the very edge of the grid
    assert blobs[0, 0, 63, 63] == 1.0
    assert blobs[0, 1, 10, 10] == 1.0
    assert (blobs == 1.0).sum() == 3
    assert blobs[0, 1, 10, 12] == pytest.approx(math.exp(-2.0))


def test_depth_loss_is_least_where_the_pixels_are() -> None:
    bins = DepthBins(0.0, 10.0, 5)
    depth_m = torch.tensor([[1.0, 1.0, 9.0, 9.0]]).repeat(4, 1)[None, None]  # half near, half far; one feature cell
    shares = {"both": [0.5, 0, 0, 0, 0.5, 0], "near": [1, 0, 0, 0, 0, 0], "middle": [0, 0, 1, 0, 0, 0]}
    loss = {
        name: float(depth_loss((torch.tensor(share) + 1e-3).log().reshape(1, 1, 6, 1, 1), depth_m, bins))
        for name, share in shares.items()
    }
    assert loss["both"] < loss["near"] < loss["middle"]
    assert loss["both"] == pytest.approx(math.log(2), abs=0.02)


def test_completion_is_bounded_by_its_neighbours_and_exact_on_a_plane_of_one_depth() -> None:
    torch.manual_seed(0)
    bins = DepthBins()
    head = DepthCompletion(8, bins)
    logits = torch.randn(1, 2, bins.count + 1, 4, 6) * 3
    (dense,) = head(logits, *(torch.randn(1, 8, 4, 6) for _ in range(2)))
    assert dense.shape == (1, 2, 16, 24)
    coarse = bins.expected_m(logits[0])
    assert dense.min() >= coarse.min() - 1e-4
    assert dense.max() <= coarse.max() + 1e-4
    flat = torch.full((1, 1, bins.count + 1, 4, 6), -30.0)
    flat[:, :, 9] = 30.0  # 10 to 11 m
    (dense,) = head(flat, torch.randn(1, 8, 4, 6))
    torch.testing.assert_close(dense, torch.full_like(dense, 10.5), atol=1e-3, rtol=1e-4)
    assert completion_loss(dense, torch.full_like(dense, 10.5), 49.0) < 1e-4


def test_what_stands_still_is_aligned_to_where_it_is() -> None:
    """A pattern painted in the world, seen from one pose and moved to another, is what is seen from there."""
    cells = torch.from_numpy(GRID.cell_centres()).float().reshape(32, 2, 32, 2, 2).mean(dim=(1, 3))

    def seen_from(pose: tuple[float, float, float]) -> torch.Tensor:
        x, y, yaw = pose
        points = cells.numpy()
        world_x = x + np.cos(yaw) * points[..., 0] - np.sin(yaw) * points[..., 1]
        world_y = y + np.sin(yaw) * points[..., 0] + np.cos(yaw) * points[..., 1]
        return torch.from_numpy(np.sin(world_x / 6.0) + np.cos(world_y / 5.0)).float()[None, None]

    then, now = (3.0, -2.0, 0.3), (7.0, -1.0, 0.45)
    moved = align(seen_from(then), torch.tensor([then]), torch.tensor([now]), cells, GRID)
    error = (moved - seen_from(now)).abs()[0, 0]
    assert error[8:24, 8:24].max() < 0.03  # interpolation
    assert moved[0, 0, 0, 0] == 0.0  # the far corner was out of reach then
