"""The deformable lift against a loop over single queries, and what it must leave untouched."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bev import BevGrid, Camera, CameraRig
from bev.cross_attention import DeformableLift
from bev.frustum import DepthBins, frustum_points, project

GRID = BevGrid(x_min_m=-6.0, x_max_m=18.0, y_min_m=-12.0, y_max_m=12.0, cell_m=1.5)
STRIDE, CHANNELS, HEADS, SAMPLES, HEIGHTS_M = 8, 8, 2, 3, (0.0, 2.0)
RIG = CameraRig(
    (
        Camera("left", 64, 32, math.radians(96), 0.7, 0.2, 1.6, yaw=math.radians(42)),
        Camera("tele", 48, 32, math.radians(35), 0.8, 0.0, 1.6, pitch=math.radians(-4), roll=math.radians(3)),
    )
)


def lift(layers: int = 2) -> DeformableLift:
    torch.manual_seed(0)
    module = DeformableLift(RIG, GRID, CHANNELS, STRIDE, HEADS, SAMPLES, HEIGHTS_M, query_stride=2, layers=layers)
    for parameter in module.parameters():  # some start at zero
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def features(batch: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, CHANNELS, camera.height // STRIDE, camera.width // STRIDE, generator=generator)
        for camera in RIG.cameras
    ]


def bilinear(feature: torch.Tensor, u: float, v: float) -> torch.Tensor:
    """feature (C, h, w) at a position in feature pixels, whose centres are at +0.5; zero outside."""
    total = torch.zeros(len(feature))
    column, row = math.floor(u - 0.5), math.floor(v - 0.5)
    for j, share_v in ((row, row + 1.5 - v), (row + 1, v - 0.5 - row)):
        for i, share_u in ((column, column + 1.5 - u), (column + 1, u - 0.5 - column)):
            if 0 <= j < feature.shape[1] and 0 <= i < feature.shape[2]:
                total += share_u * share_v * feature[:, j, i]
    return total


def query_by_query(module: DeformableLift, pictures: list[torch.Tensor]) -> torch.Tensor:
    """One layer, batch 1, before the projection to cells: (Q, C)."""
    layer, answers = module.layers[0], []
    centres = F.avg_pool2d(torch.from_numpy(GRID.cell_centres()).permute(2, 0, 1), 2).flatten(1).t().numpy()
    for query, centre in zip(module.queries[0], centres, strict=True):
        asking = layer.before(query)
        offsets = layer.offsets(asking).view(HEADS, len(HEIGHTS_M), SAMPLES, 2)
        weights = layer.weights(asking).view(HEADS, len(HEIGHTS_M), SAMPLES)
        found = []
        for camera, picture in zip(RIG.cameras, pictures, strict=True):
            value = layer.value(picture)[0]
            views = [project(camera, np.array([*centre, height])) for height in HEIGHTS_M]
            if not any(seen for _, seen in views):
                continue
            parts = []
            for head, part in enumerate(value.split(CHANNELS // HEADS)):
                shares = {(z, s): weights[head, z, s].exp() for z in range(2) for s in range(SAMPLES) if views[z][1]}
                samples = [
                    share * bilinear(part, *(views[z][0] / STRIDE + offsets[head, z, s].numpy()))
                    for (z, s), share in shares.items()
                ]
                parts.append(torch.stack(samples).sum(0) / sum(shares.values()))
            found.append(torch.cat(parts))
        query = query + layer.out(torch.stack(found).mean(0) if found else torch.zeros(CHANNELS))
        answers.append(query + layer.feed(layer.between(query)))
    return torch.stack(answers)


def test_lift_agrees_with_a_loop_over_single_queries() -> None:
    module, pictures = lift(layers=1), features(1)
    with torch.no_grad():
        answers = query_by_query(module, pictures).t().reshape(1, CHANNELS, *module.shape)
        expected = F.pixel_shuffle(module.spread(answers), 2) * module.get_buffer("visible")
        torch.testing.assert_close(module(*pictures)[0], expected, atol=1e-4, rtol=1e-4)


def test_projection_is_inverse_to_the_frustum() -> None:
    bins, offset = DepthBins(), 0
    points = frustum_points(RIG, bins, STRIDE)
    for camera in RIG.cameras:
        rows, columns = camera.height // STRIDE, camera.width // STRIDE
        pixels, seen = project(camera, points[offset : offset + rows * columns])
        offset += rows * columns
        v, u = np.meshgrid((np.arange(rows) + 0.5) * STRIDE, (np.arange(columns) + 0.5) * STRIDE, indexing="ij")
        assert seen.all()
        np.testing.assert_allclose(pixels, np.stack([u, v], -1).reshape(-1, 1, 2).repeat(bins.count, 1), atol=1e-9)
    behind = project(RIG.cameras[1], np.array([[-3.0, 0.0, 1.6]]))
    assert not behind[1].any()


def test_nothing_stands_where_no_camera_sees_and_samples_of_a_batch_do_not_mix() -> None:
    module, pictures = lift(), features(3)
    with torch.no_grad():
        together = module(*pictures)[0]
        assert together.shape == (3, CHANNELS, GRID.rows, GRID.columns)
        hidden = ~module.get_buffer("visible")
        assert 0 < hidden.sum() < hidden.numel()
        assert not together[:, :, hidden].any()
        alone = module(*(picture[1:2] for picture in pictures))[0]
        torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_depth_logits_make_no_difference_and_calibration_moves_no_weight() -> None:
    module, pictures = lift(), features(1)
    with torch.no_grad():
        before = module(*pictures)[0]
        assert torch.equal(module(*pictures, *features(1, seed=1))[0], before)
        names = set(module.state_dict())
        module.set_rig(CameraRig((RIG.cameras[0], Camera("tele", 48, 32, 0.6, 0.8, 0.0, 1.6, yaw=0.5))))
        assert not torch.equal(module(*pictures)[0], before)
        module.set_rig(RIG)
        assert torch.equal(module(*pictures)[0], before)
    assert names == {name for name, _ in module.named_parameters()}


def test_every_parameter_learns_and_the_module_exports() -> None:
    module, pictures = lift(), features(1)
    module(*pictures)[0].square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    program = torch.export.export(module, tuple(pictures))
    torch.testing.assert_close(program.module()(*pictures)[0], module(*pictures)[0])


def test_refusals_name_what_came() -> None:
    with pytest.raises(ValueError, match="received 3 for 16x16"):
        DeformableLift(RIG, GRID, CHANNELS, STRIDE, query_stride=3)
    with pytest.raises(ValueError, match="received 3 for 8 channels"):
        DeformableLift(RIG, GRID, CHANNELS, STRIDE, heads=3)
    with pytest.raises(ValueError, match="2 cameras need as many feature maps, received 1"):
        lift()(features(1)[0])
