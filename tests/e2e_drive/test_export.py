"""Exported stages: what onnxruntime makes of the files is what the network makes of the tensors, or nothing is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bev import Stage
from e2e_drive import config_dir
from e2e_drive.apps.options import plain, rig_of
from e2e_drive.cli import main
from e2e_drive.errors import UserError
from e2e_drive.learn.export import MANIFEST, example_tensors, export_stages
from planner import DrivingModel, model_config_from, save_model
from planner.optimiser import TrajectoryOptimiser


class Eyes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.layers(image.float()).mean((2, 3)),)


class Mind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.path, self.speed = nn.Linear(8, 20), nn.Linear(8, 8)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = torch.cat([left, right], dim=1)
        path = self.path(seen).unflatten(1, (10, 2)).cumsum(dim=1)
        return path, self.speed(seen), path[:, :8]


class Liar(nn.Module):
    """Another one when it is exported."""

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (features * (1.1 if torch.compiler.is_exporting() else 1.0),)


class Moody(nn.Module):
    """What it does depends on values: no graph says that."""

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (features * 2 if float(features.sum()) > 0 else features,)


def small_network() -> tuple[Stage, ...]:
    torch.manual_seed(0)
    eyes = Eyes().eval()
    return (
        Stage("eyes[left]", eyes, ("image[left]",), ("features[left]",)),
        Stage("eyes[right]", eyes, ("image[right]",), ("features[right]",)),
        Stage("mind", Mind(), ("features[left]", "features[right]"), ("raw_path", "speed_logits", "raw_waypoints")),
        Stage(
            "optimiser",
            TrajectoryOptimiser(),
            ("raw_path", "speed_logits", "raw_waypoints", "speed"),
            ("path", "waypoints"),
        ),
    )


def run_over(stages: tuple[Stage, ...]) -> dict[str, Tensor]:
    tensors = {f"image[{name}]": torch.randint(0, 256, (1, 3, 16, 24), dtype=torch.uint8) for name in ("left", "right")}
    tensors["speed"] = torch.tensor([[4.0]])
    with torch.no_grad():
        for stage in stages:
            tensors.update(zip(stage.outputs, stage(*(tensors[name] for name in stage.inputs)), strict=True))
    return tensors


def test_files_and_manifest_are_all_that_is_needed_to_run_the_network(tmp_path: Path) -> None:
    stages = small_network()
    tensors = run_over(stages)
    reports = export_stages(stages, tensors, tmp_path / "out", tolerance=1e-4)
    assert [report.stages for report in reports] == [("eyes[left]", "eyes[right]"), ("mind",), ("optimiser",)]
    assert all(report.max_relative < 1e-5 and report.onnx_bytes > 500 for report in reports if report.onnx)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"eyes.pt2", "eyes.onnx", "mind.pt2", "mind.onnx", MANIFEST}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]

    eyes, mind, optimiser = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (eyes["inputs"], eyes["outputs"]) == (["image"], ["features"])
    assert optimiser["onnx"] is None

    def run(entry: dict, given: list[np.ndarray]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / entry["onnx"]))
        return session.run(entry["outputs"], dict(zip(entry["inputs"], given, strict=True)))

    features = [run(eyes, [tensors[f"image[{camera}]"].numpy()])[0] for camera in ("left", "right")]
    for name, answer in zip(mind["outputs"], run(mind, features), strict=True):
        np.testing.assert_allclose(answer, tensors[name].numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (Liar(), "stage 'odd': the .pt2 file is off by 0.1 of an output's largest value; at most 0.001 is tolerated"),
        (Moody(), "stage 'odd' cannot be exported"),
    ],
)
def test_a_stage_that_does_not_survive_is_named_and_nothing_is_written(
    module: nn.Module, told: str, tmp_path: Path
) -> None:
    eyes, *_ = small_network()
    stages = (eyes, Stage("odd", module, ("features[left]",), ("odd",)))
    with pytest.raises(UserError, match=told) as raised:
        export_stages(stages, run_over(stages), tmp_path / "out", tolerance=1e-3)
    assert len(str(raised.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"package onnxscript: pip install 'e2e-drive\[export\]'"):
        export_stages((), {}, tmp_path / "out", tolerance=1e-3)


@pytest.mark.parametrize(
    ("argument", "told"),
    [("weights=no/such/folder", "weights=no/such/folder"), ("tolerance=0", "tolerance must be a positive number")],
)
def test_bad_input(
    argument: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["export", argument])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert not list(tmp_path.iterdir())


def driving_model() -> DrivingModel:
    """The shape of a training's default, with weights of chance."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train")
    values = plain(cfg.model)
    values.pop("weights", None)
    torch.manual_seed(0)
    return DrivingModel(model_config_from(values, rig_of(cfg))).eval()


def test_examples_fill_the_memory() -> None:
    tensors = example_tensors(driving_model())
    assert (tensors["memory_poses"][..., -1] == 1).all()
    assert tensors["bev_memory"].abs().amax(dim=(0, 2, 3, 4)).min() > 0
    assert not any(tensor.is_inference() for tensor in tensors.values())


@pytest.mark.slow
def test_the_network_that_drives_is_exported_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = driving_model()
    save_model(model, tmp_path / "weights")
    with pytest.raises(SystemExit) as ended:
        main(["export", f"weights={tmp_path / 'weights'}"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    reports = json.loads((tmp_path / "outputs/export" / MANIFEST).read_text())
    assert [stage for report in reports for stage in report["stages"]] == [stage.name for stage in model.stages]
    assert [report["stages"] for report in reports if report["onnx"] is None] == [["trajectory_optimiser"]]
    assert "runs as is" in shown
    assert max(report["max_relative"] for report in reports) < 1e-4
