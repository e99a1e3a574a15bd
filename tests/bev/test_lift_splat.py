"""Lift-splat against a brute-force loop over every pixel and bin, and the numba kernel against plain torch."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from bev import BevGrid, Camera, CameraRig
from bev.frustum import DepthBins, frustum_points
from bev.lift_splat import LiftSplat
from scheduling.trace import trace_cost

GRID = BevGrid(x_min_m=-6.0, x_max_m=24.0, y_min_m=-12.0, y_max_m=12.0, cell_m=1.5)
BINS = DepthBins(first_m=1.0, last_m=31.0, count=20)
STRIDE, CHANNELS = 8, 19  # no multiple of the kernel's lanes
Z_RANGE_M = (-3.0, 6.0)
RIG = CameraRig(
    (
        Camera("left", 64, 32, math.radians(96), 0.7, 0.2, 1.6, yaw=math.radians(42)),
        Camera("tele", 48, 32, math.radians(35), 0.8, 0.0, 1.6, pitch=math.radians(-4), roll=math.radians(3)),
        Camera("rear", 64, 32, math.radians(110), -0.9, 0.0, 1.6, yaw=math.pi),
    )
)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def transform() -> LiftSplat:
    return LiftSplat(RIG, GRID, BINS, CHANNELS, STRIDE, Z_RANGE_M)


def inputs(batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(camera.height // STRIDE, camera.width // STRIDE) for camera in RIG.cameras]
    return [
        torch.randn(batch, channels, *shape, generator=generator).to(dtype)
        for channels in (CHANNELS, BINS.count + 1)
        for shape in shapes
    ]


def brute_force_point(camera: Camera, u: float, v: float, depth: float) -> tuple[float, float, float]:
    """Camera axes turned into the car's one by one: roll (right side down), then pitch (nose down), then yaw."""
    focal = camera.width / 2 / math.tan(camera.fov_rad / 2)
    x, y, z = depth, -(u - camera.width / 2) / focal * depth, -(v - camera.height / 2) / focal * depth
    cos, sin = math.cos(camera.roll), math.sin(camera.roll)
    y, z = cos * y - sin * z, sin * y + cos * z
    cos, sin = math.cos(camera.pitch), math.sin(camera.pitch)
    x, z = cos * x + sin * z, cos * z - sin * x
    cos, sin = math.cos(camera.yaw), math.sin(camera.yaw)
    x, y = cos * x - sin * y, sin * x + cos * y
    return x + camera.x, y + camera.y, z + camera.z


def brute_force(tensors: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """(B, C, rows, columns) sums, and (B, C) the sum over every pair that lies inside."""
    out = np.zeros((len(tensors[0]), CHANNELS, GRID.rows, GRID.columns))
    inside = np.zeros(out.shape[:2])
    for index, camera in enumerate(RIG.cameras):
        context = tensors[index].double().numpy()
        shares = tensors[index + len(RIG.cameras)].double().softmax(1).numpy()
        for row in range(camera.height // STRIDE):
            for column in range(camera.width // STRIDE):
                for k in range(BINS.count):
                    u, v = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
                    x, y, z = brute_force_point(camera, u, v, BINS.first_m + (k + 0.5) * BINS.width_m)
                    i, j = math.floor((GRID.x_max_m - x) / 1.5), math.floor((GRID.y_max_m - y) / 1.5)
                    if 0 <= i < GRID.rows and 0 <= j < GRID.columns and Z_RANGE_M[0] <= z <= Z_RANGE_M[1]:
                        value = shares[:, k, row, column, None] * context[:, :, row, column]
                        out[:, :, i, j] += value
                        inside += value
    return out, inside


def test_lift_agrees_with_brute_force_and_loses_nothing() -> None:
    tensors = inputs(2)
    expected, inside = brute_force(tensors)
    module = transform()
    assert 0 < len(module.entries) < module.cell_of.numel()
    for lifted in (module(*tensors)[0], module.reference(*tensors)[0]):
        assert lifted.shape == expected.shape
        np.testing.assert_allclose(lifted, expected, atol=1e-5)
        np.testing.assert_allclose(lifted.double().sum((2, 3)), inside, atol=1e-4)


def test_points_lie_at_the_z_depth_of_their_bin() -> None:
    points = frustum_points(RIG, BINS, STRIDE)
    tele = slice(8 * 4, 8 * 4 + 6 * 4)
    optical_from_ego = np.linalg.inv(RIG.cameras[1].ego_from_optical)
    depth = points[tele] @ optical_from_ego[2, :3] + optical_from_ego[2, 3]
    np.testing.assert_allclose(depth, np.broadcast_to(BINS.centres_m, depth.shape), atol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_agree_with_plain_torch(threads: int) -> None:
    torch.set_num_threads(threads)
    module, found = transform(), []
    for path in (module, module.reference):
        tensors = [tensor.requires_grad_() for tensor in inputs(3)]
        lifted = path(*tensors)[0]
        (lifted * torch.linspace(-1, 1, lifted.numel()).view_as(lifted)).sum().backward()
        found.append([tensor.grad for tensor in tensors])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    module, found = transform(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        tensors = [tensor.requires_grad_() for tensor in inputs(2)]
        lifted = module(*tensors)[0]
        lifted.square().sum().backward()
        found.append([lifted, *(tensor.grad for tensor in tensors)])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_exported_program_gives_the_same_without_our_operator() -> None:
    module, tensors = transform(), tuple(inputs(1))
    program = torch.export.export(module, tensors)
    assert not [node for node in program.graph.nodes if "e2e_drive" in str(node.target)]
    torch.testing.assert_close(program.module()(*tensors)[0], module(*tensors)[0], atol=1e-5, rtol=0)


def test_cost_is_traced_through_our_operator() -> None:
    module = transform()
    cost = trace_cost("view_transform", module, inputs(1))
    pairs = len(module.entries)
    assert cost.flops == 2 * pairs * CHANNELS
    lists = sum(tensor.nbytes for tensor in (module.entries, module.pixels, module.starts, module.cell_of))
    tables = 4 * sum(tensor.numel() for tensor in (*inputs(1), module(*inputs(1))[0]))
    gathered = 0.25 * pairs * CHANNELS * 4
    # The softmax reads and writes the shares once more.
    assert cost.bytes_moved == pytest.approx(lists + tables + gathered + 2 * 4 * module.cell_of.numel(), abs=1)


def test_bfloat16_goes_in_and_comes_out() -> None:
    module = transform()
    exact = module(*inputs(1))[0]
    halves = module(*inputs(1, dtype=torch.bfloat16))[0]
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(halves.float(), exact, atol=0.1, rtol=0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module(*inputs(1))[0], exact)


def test_another_calibration_moves_the_picture_and_no_weight() -> None:
    module, tensors = transform(), inputs(1)
    before = module(*tensors)[0]
    module.set_rig(CameraRig((*RIG.cameras[:2], Camera("rear", 64, 32, math.radians(110), -0.9, 0.0, 1.6))))
    assert not torch.equal(module(*tensors)[0], before)
    module.set_rig(RIG)
    assert torch.equal(module(*tensors)[0], before)
    assert not module.state_dict()


def test_depth_classes_are_inverse_to_the_bins() -> None:
    centres = torch.from_numpy(BINS.centres_m)
    assert BINS.classes(centres).tolist() == list(range(BINS.count))
    assert BINS.classes(torch.tensor([0.0, 1.0, 30.99, 31.0, math.inf])).tolist() == [0, 0, 19, 20, 20]
    sure = torch.full((1, BINS.count + 1, 1, 1), -100.0)
    sure[0, 7] = 100.0
    assert BINS.expected_m(sure).item() == pytest.approx(BINS.centres_m[7])


def test_refusals_name_what_came() -> None:
    with pytest.raises(ValueError, match=r"count >= 1, received 1\.0, 49\.0 and 0"):
        DepthBins(count=0)
    with pytest.raises(ValueError, match="3 contexts and 3 depth logits, received 3"):
        transform()(*inputs(1)[:3])
    with pytest.raises(ValueError, match="must be of shapes"):
        transform()(*inputs(1)[::-1])
    with pytest.raises(ValueError, match="no multiple of 7 px"):
        LiftSplat(RIG, GRID, BINS, CHANNELS, 7)
