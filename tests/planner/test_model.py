"""The network as a whole: its stages, its weights on disk, and that every part learns and every input counts."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bev import BevClass, BevGrid, Camera, CameraRig
from bev.frustum import DepthBins
from bev.heads import Agent
from bev.memory import KEYFRAME_S
from planner import (
    SINKS,
    STATES,
    DrivingModel,
    ModelConfig,
    load_model,
    model_config_from,
    prepare_for_inference,
    save_model,
    without_python,
)
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
    depth_bins=DepthBins(count=12),
    light_cameras=("tele", "left"),
    image_channels=16,
    bev_channels=16,
    width=32,
    fine_channels=8,
    memory_channels=8,
    heads=2,
    encoder_layers=1,
    decision_layers=1,
    trajectory_layers=1,
    agents=4,
    standing_dropout=0.3,
)


def make_model(**changes: object) -> DrivingModel:
    torch.manual_seed(0)
    return DrivingModel(dataclasses.replace(CONFIG, **changes)).eval()


def make_batch(size: int, seed: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch = {
        f"image[{name}]": torch.randint(0, 256, (size, 3, 32, 64), generator=generator, dtype=torch.uint8)
        for name in RIG.names
    }
    batch["motion"] = torch.rand(size, 2, generator=generator) * 5
    batch["command"] = torch.cat([torch.eye(4)[torch.arange(size) % 4], torch.rand(size, 1, generator=generator)], 1)
    batch["pose"] = torch.tensor([[3.0, 1.0, 0.1, 7.0]]).repeat(size, 1)
    batch["bev_memory"] = torch.randn(size, 2, 8, 8, 8, generator=generator)
    then = torch.tensor([[[2.0, 1.0, 0.0, 6.7, 1.0], [0.0, 1.0, 0.0, 6.2, 1.0]]])
    batch["memory_poses"] = then.repeat(size, 1, 1)
    return batch


def make_labels(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    boxes = torch.zeros(size, 5, len(Agent))
    boxes[:, :, Agent.SCORE] = 1.0
    boxes[:, :, Agent.KIND] = torch.arange(5) % 3
    boxes[:, :, Agent.X :] = torch.rand(size, 5, len(Agent) - 2, generator=generator) * 10 + 0.5
    return {
        "label_path": torch.randn(size, 10, 2, generator=generator),
        "label_waypoints": torch.randn(size, 8, 2, generator=generator),
        "label_target_speed": torch.rand(size, generator=generator) * 12,
        "label_manoeuvre": torch.arange(size) % 6,
        "label_light": torch.arange(size) % 3,
        "label_bev": torch.randint(0, 2, (size, len(BevClass), 16, 16), generator=generator, dtype=torch.uint8),
        "label_seen": torch.ones(size, 16, 16, dtype=torch.uint8),
        "label_known": torch.ones(size, 16, 16, dtype=torch.uint8),
        "label_depth": torch.rand(size, 3, 16, 32, generator=generator) * 60 + 1,
        "label_boxes": boxes,
        "label_futures": torch.cat([boxes[..., None, Agent.X : Agent.Y + 1].expand(-1, -1, 4, -1) + 1.0,
                                    torch.ones(size, 5, 4, 1)], dim=-1),
    }  # fmt: skip


@pytest.mark.parametrize("view_transform", ["lift_splat", "cross_attention"])
def test_stage_by_stage_equals_forward(view_transform: str) -> None:
    model, batch = make_model(view_transform=view_transform), make_batch(1)
    with torch.inference_mode():
        expected, tensors = model(batch), dict(batch)
        for stage in model.stages:
            outputs = stage(*(tensors[name] for name in stage.inputs))
            assert len(outputs) == len(stage.outputs)
            tensors.update(zip(stage.outputs, outputs, strict=True))
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4)
    assert [tuple(tensors[name].shape) for name in SINKS] == [(1, 10, 2), (1, 8), (1, 8, 2), (1, 3)]
    for state, output in STATES.items():
        assert tensors[output].shape == tensors[state].shape


def test_an_answer_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    model, batch = make_model(), make_batch(3)
    with torch.inference_mode():
        together = model(batch)
        alone = model({name: tensor[1:2] for name, tensor in batch.items()})
    for name in SINKS:
        torch.testing.assert_close(together[name][1:2], alone[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("backbone", ["regnetx_004", "efficientnet_lite0"])
def test_ready_to_drive_it_answers_the_same_without_norms(backbone: str) -> None:
    model, batch = make_model(backbone=backbone), make_batch(2)
    generator = torch.Generator().manual_seed(0)
    for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_(0.0, 0.1, generator=generator)
        norm.running_var.uniform_(0.5, 2.0, generator=generator)
    with torch.inference_mode():
        before = model(batch)
        after = prepare_for_inference(model, batch)(batch)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    for name, tensor in before.items():
        torch.testing.assert_close(
            after[name], tensor, atol=1e-3, rtol=1e-3, msg=lambda told, name=name: f"{name}: {told}"
        )


@pytest.mark.parametrize("view_transform", ["lift_splat", "cross_attention"])
def test_played_without_python_every_stage_gives_the_same_bits_frame_after_frame(view_transform: str) -> None:
    model = prepare_for_inference(make_model(view_transform=view_transform), make_batch(1))
    played = without_python(model.stages, make_batch(1))
    memory: dict[str, torch.Tensor] = {}
    for frame in range(4):  # the first run records how it is called, the second one is optimised for that
        tensors = make_batch(1, seed=frame) | memory
        tensors["pose"][:, 3] += 0.3 * frame
        with torch.inference_mode():
            for stage, recorded in zip(model.stages, played, strict=True):
                inputs = [tensors[name] for name in stage.inputs]
                outputs = stage(*inputs)
                for name, expected, found in zip(stage.outputs, outputs, recorded(*inputs), strict=True):
                    assert torch.equal(found, expected), f"{name} of frame {frame}"
                tensors.update(zip(stage.outputs, outputs, strict=True))
        memory = {state: tensors[output] for state, output in STATES.items()}


def test_save_load_round_trip(tmp_path: Path) -> None:
    model, batch = make_model(), make_batch(2)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == CONFIG
    with torch.inference_mode():
        for name, tensor in model(batch).items():
            assert torch.equal(tensor, loaded(batch)[name]), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_half_the_bytes_hardly_change_the_answer(tmp_path: Path) -> None:
    model, batch = make_model(), make_batch(2)
    save_model(model, tmp_path / "whole")
    save_model(model, tmp_path / "half", half=True)
    size = {name: (tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")}
    assert size["half"] < 0.7 * size["whole"]
    loaded = load_model(tmp_path / "half")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    with torch.inference_mode():
        torch.testing.assert_close(loaded(batch)["raw_path"], model(batch)["raw_path"], atol=0.02, rtol=0.01)


def test_load_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_model(tmp_path)
    save_model(make_model(), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("decision.queries")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_model(tmp_path)


def test_config_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="widht"):
        model_config_from({"widht": 3}, RIG)
    with pytest.raises(ValueError, match="rear"):
        model_config_from({"light_cameras": ["rear"]}, RIG)
    with pytest.raises(ValueError, match="no pretrained weights are known"):
        DrivingModel(dataclasses.replace(CONFIG, pretrained=True), pretrained=True)


def test_every_weight_gets_a_gradient() -> None:
    model, batch = make_model().train(), make_batch(8) | make_labels(8)
    batch |= {f"past_image[{name}]": batch[f"image[{name}]"].flip(0) for name in RIG.names}
    batch["past_of"] = torch.arange(8)
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


@pytest.mark.parametrize("name", [*(f"image[{camera}]" for camera in RIG.names), "motion", "command", "bev_memory"])
def test_every_input_counts(name: str) -> None:
    model, batch = make_model(), make_batch(1)
    changed = dict(batch)
    changed[name] = torch.zeros_like(batch[name])
    with torch.inference_mode():
        before, after = model(batch), model(changed)
    for sink in SINKS:
        if sink != "light_logits":  # of which some cameras show nothing
            assert (before[sink] - after[sink]).abs().max() > 1e-6, sink


def test_how_fast_to_go_is_not_decided_by_how_fast_one_goes() -> None:
    model, batch = make_model(), make_batch(1)
    faster = batch["motion"] + torch.tensor([[4.0, 0.0]])
    with torch.inference_mode():
        assert torch.equal(model(batch)["speed_logits"], model(batch | {"motion": faster})["speed_logits"])


def test_a_network_that_is_never_told_for_how_long_it_stood_does_not_ask() -> None:
    batch = make_batch(1)
    longer = batch | {"motion": batch["motion"] + torch.tensor([[0.0, 2.0]])}
    for share, is_same in ((1.0, True), (0.3, False)):
        model = make_model(standing_dropout=share)
        with torch.inference_mode():
            before, after = model(batch), model(longer)
        assert all(torch.equal(before[sink], after[sink]) for sink in SINKS) == is_same


def test_memory_is_kept_for_half_a_second_and_looked_at_from_where_the_car_is() -> None:
    model, batch = make_model(), make_batch(1)
    memory, poses = batch["bev_memory"], batch["memory_poses"]
    with torch.inference_mode():
        out = model(batch)
        # the newest key frame is 0.3 s old: it stays, and what was seen now is not kept
        assert torch.equal(out["bev_memory_next"], memory)
        late = batch | {"pose": batch["pose"] + torch.tensor([[0.0, 0.0, 0.0, KEYFRAME_S]])}
        kept = model(late)
        assert torch.equal(kept["bev_memory_next"][:, 1], memory[:, 0])
        assert torch.equal(kept["memory_poses_next"][0, 0], torch.tensor([*late["pose"][0].tolist(), 1.0]))
        # only differences of poses count
        shift = torch.tensor([5.0, -3.0, 0.0, 2.0])
        moved = batch | {"pose": batch["pose"] + shift, "memory_poses": poses + torch.tensor([*shift, 0.0])}
        torch.testing.assert_close(model(moved)["bev_tokens"], out["bev_tokens"], atol=1e-4, rtol=1e-4)
        # one that is too old is as good as none
        ancient = batch | {"memory_poses": poses - torch.tensor([0.0, 0.0, 0.0, 60.0, 0.0])}
        empty = batch | model.first_state()
        torch.testing.assert_close(model(ancient)["bev_tokens"], model(empty)["bev_tokens"], atol=1e-4, rtol=1e-4)


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
