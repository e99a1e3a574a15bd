"""The network as a whole: its stages, its weights on disk, and that every part learns and every input counts."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from bev import BevGrid, Camera, CameraRig
from planner import SINKS, DrivingModel, ModelConfig, load_model, model_config_from, save_model
from planner.losses import LossConfig, two_hot_speed
from planner.types import SPEED_CLASSES_MPS

RIG = CameraRig(
    (
        Camera("left", 64, 32, math.radians(96), 0.7, 0.2, 1.6, yaw=math.radians(42)),
        Camera("right", 64, 32, math.radians(96), 0.7, -0.2, 1.6, yaw=math.radians(-42)),
        Camera("tele", 64, 32, math.radians(35), 0.8, 0.0, 1.6, pitch=math.radians(-4)),
    )
)
CONFIG = ModelConfig(
    RIG,
    BevGrid(cell_m=3.0),
    width=32,
    image_channels=16,
    fine_channels=8,
    heads=2,
    encoder_layers=1,
    decision_layers=1,
    trajectory_layers=1,
)


def make_model() -> DrivingModel:
    torch.manual_seed(0)
    return DrivingModel(CONFIG).eval()


def make_batch(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    batch = {
        f"image[{name}]": torch.randint(0, 256, (size, 3, 32, 64), generator=generator, dtype=torch.uint8)
        for name in RIG.names
    }
    batch["speed"] = torch.rand(size, 1, generator=generator) * 10
    batch["command"] = torch.cat([torch.eye(4)[torch.arange(size) % 4], torch.rand(size, 1, generator=generator)], 1)
    return batch


def make_labels(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {
        "label_path": torch.randn(size, 10, 2, generator=generator),
        "label_waypoints": torch.randn(size, 8, 2, generator=generator),
        "label_target_speed": torch.rand(size, generator=generator) * 12,
        "label_light": torch.arange(size) % 3,
        "label_bev": torch.randint(0, 2, (size, 4, 16, 16), generator=generator, dtype=torch.uint8),
    }


def test_stage_by_stage_equals_forward() -> None:
    model, batch = make_model(), make_batch(1)
    with torch.inference_mode():
        expected, tensors = model(batch), dict(batch)
        for stage in model.stages:
            outputs = stage(*(tensors[name] for name in stage.inputs))
            assert len(outputs) == len(stage.outputs)
            tensors.update(zip(stage.outputs, outputs, strict=True))
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4)
    assert [tuple(tensors[name].shape) for name in SINKS] == [(1, 10, 2), (1, 8), (1, 8, 2)]


def test_an_answer_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    model, batch = make_model(), make_batch(3)
    with torch.inference_mode():
        together = model(batch)
        alone = model({name: tensor[1:2] for name, tensor in batch.items()})
    for name in SINKS:
        torch.testing.assert_close(together[name][1:2], alone[name], atol=1e-4, rtol=1e-3)


def test_save_load_round_trip(tmp_path: Path) -> None:
    model, batch = make_model(), make_batch(2)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == CONFIG
    with torch.inference_mode():
        for name, tensor in model(batch).items():
            assert torch.equal(tensor, loaded(batch)[name]), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_load_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_model(tmp_path)


def test_config_refuses_unknown_keys() -> None:
    with pytest.raises(ValueError, match="widht"):
        model_config_from({"widht": 3}, RIG)


def test_every_weight_gets_a_gradient() -> None:
    model, batch = make_model().train(), make_batch(8) | make_labels(8)
    for module in model.modules():  # what starts at zero would hide the weights behind it
        weight = getattr(module, "weight", None)
        if weight is not None and not weight.any():
            torch.nn.init.normal_(weight)
    torch.manual_seed(0)
    model.loss(batch, LossConfig())["total"].backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", [*(f"image[{camera}]" for camera in RIG.names), "speed", "command"])
def test_every_input_counts(name: str) -> None:
    model, batch = make_model(), make_batch(1)
    changed = dict(batch)
    changed[name] = torch.zeros_like(batch[name])
    with torch.inference_mode():
        before, after = model(batch), model(changed)
    for sink in SINKS:
        sees = (name, sink) != ("speed", "speed_logits")  # how fast to go is not decided by how fast one goes
        assert ((before[sink] - after[sink]).abs().max() > 1e-6) == sees, sink


def test_calibration_enters_through_the_rig() -> None:
    model, batch = make_model(), make_batch(1)
    turned = CameraRig(tuple(dataclasses.replace(camera, yaw=camera.yaw + 0.2) for camera in RIG.cameras))
    with torch.inference_mode():
        before = model(batch)["bev_lifted"]
        model.set_rig(turned)
        during = model(batch)["bev_lifted"]
        model.set_rig(RIG)
        after = model(batch)["bev_lifted"]
    assert (before - during).abs().max() > 1e-3
    assert torch.equal(before, after)
    with pytest.raises(ValueError, match="built for cameras"):
        model.set_rig(CameraRig(RIG.cameras[:2]))


def test_two_hot_speed_keeps_the_mean() -> None:
    speed = torch.tensor([0.0, 0.3, 1.5, 7.1, 12.0, 30.0])
    target = two_hot_speed(speed)
    assert ((target > 0).sum(dim=1) <= 2).all()
    torch.testing.assert_close(target @ torch.tensor(SPEED_CLASSES_MPS), speed.clamp(max=12.0))


def test_costs_can_be_traced_without_weights() -> None:
    model = make_model().to("meta")
    out = model({name: tensor.to("meta") for name, tensor in make_batch(1).items()})
    assert all(out[name].is_meta for name in SINKS)
