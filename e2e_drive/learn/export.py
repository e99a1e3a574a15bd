"""Every stage of a network as files of its own: torch.export (.pt2) and ONNX, each compared with the network itself.

A stage is exported on the tensors that it receives when the network runs over a few frames, and must give the same
there: the .pt2 in torch, the .onnx in onnxruntime. Stages that share a module and the shapes of their inputs, as the
cameras do their backbone, become one file, which must give the same for each of them.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bev import Command, EgoMotion, Pose2D, RouteHint, SensorFrame, Stage
from e2e_drive.errors import UserError
from planner import STATES, DrivingModel, network_inputs
from planner.optimiser import TrajectoryOptimiser

MANIFEST = "stages.json"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # of the extra; torch.onnx imports the first two when it needs them
_NOT_NETWORKS = (TrajectoryOptimiser,)  # a solver, not a graph of tensors
_FRAME_S = 0.5  # between two example frames: long enough that each enters the memory
_FRAMES = 3
_SPEED_MPS, _YAW_RATE_RPS = 6.0, 0.1


@dataclass(frozen=True)
class StageReport:
    """One row: a file pair, or a stage that has none.

    stages: those that it serves. inputs, outputs: names of its tensors, without the camera where it serves several.
    pt2, onnx: file names, None for a stage that runs as is. onnx_bytes: size of that file. max_abs: largest difference
    between the ONNX file and the network, on any output; max_relative: the same over the largest value of that output;
    pt2_relative: that of the .pt2.
    """

    stages: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pt2: str | None = None
    onnx: str | None = None
    onnx_bytes: int = 0
    max_abs: float = 0.0
    max_relative: float = 0.0
    pt2_relative: float = 0.0


def example_tensors(model: DrivingModel, seed: int = 0) -> dict[str, Tensor]:
    """All tensors of the network, by name, in a drive of a few frames of noise round a bend: memories are filled."""
    random, rig, state = np.random.default_rng(seed), model.config.rig, model.first_state()
    tensors: dict[str, Tensor] = {}
    for number in range(_FRAMES):
        time_s = number * _FRAME_S
        images = {c.name: random.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in rig.cameras}
        pose = Pose2D(_SPEED_MPS * time_s, 0.0, _YAW_RATE_RPS * time_s)
        ego = EgoMotion(_SPEED_MPS, _YAW_RATE_RPS, pose)
        frame = SensorFrame(number, time_s, images, rig, ego, RouteHint(Command.LEFT, 20.0))
        with torch.inference_mode():
            tensors = model(network_inputs(frame) | state)
        state = {name: tensors[following] for name, following in STATES.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def export_stages(
    stages: Sequence[Stage], tensors: Mapping[str, Tensor], out: Path, tolerance: float
) -> tuple[StageReport, ...]:
    """stages: with modules in evaluation mode on the CPU. tensors: of every input and output, from one run. Writes the
    files and `MANIFEST` into out, all of them or, if it raises, none.

    UserError: a package is missing, or a stage cannot be exported, or its file differs on some output by more than
    tolerance times the largest value of that output.
    """
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"export needs the package {package}: pip install 'e2e-drive[export]'") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as name:
        folder = Path(name)
        reports = tuple(_export(group, tensors, folder, tolerance) for group in _sharing(stages, tensors))
        manifest = json.dumps([asdict(report) for report in reports], indent=2)
        (folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        for path in sorted(folder.iterdir()):
            os.replace(path, out / path.name)
    return reports


def _sharing(stages: Sequence[Stage], tensors: Mapping[str, Tensor]) -> list[list[Stage]]:
    """Stages by module and shapes of inputs, in the order of their first."""
    groups: dict[Any, list[Stage]] = {}
    for stage in stages:
        groups.setdefault((id(stage.module), *(tensors[name].shape for name in stage.inputs)), []).append(stage)
    return list(groups.values())


def _export(group: list[Stage], tensors: Mapping[str, Tensor], folder: Path, tolerance: float) -> StageReport:
    first, names = group[0], tuple(stage.name for stage in group)
    inputs, outputs = first.inputs, first.outputs
    if len(group) > 1:
        inputs, outputs = _bare(inputs), _bare(outputs)
    if isinstance(first.module, _NOT_NETWORKS):
        return StageReport(names, inputs, outputs)
    title = _bare([first.name])[0] if len(group) > 1 else first.name
    if (folder / f"{title}.pt2").exists():  # of the same module with inputs of another size
        title = first.name
    pt2, onnx = (folder / f"{title}.{ending}" for ending in ("pt2", "onnx"))
    arguments = [tuple(tensors[name] for name in stage.inputs) for stage in group]
    expected = [[tensors[name].numpy() for name in stage.outputs] for stage in group]
    _write(first, arguments[0], inputs, outputs, pt2, onnx)
    in_torch, in_onnx = (_worst(answers, expected) for answers in _answers(pt2, onnx, inputs, arguments))
    for kind, (_, relative) in {".pt2": in_torch, "ONNX": in_onnx}.items():
        if not relative <= tolerance:
            raise UserError(
                f"stage {first.name!r}: the {kind} file is off by {relative:.2g} of an output's largest value; "
                f"at most {tolerance:g} is tolerated"
            )
    return StageReport(
        names, inputs, outputs, pt2.name, onnx.name, onnx.stat().st_size, *in_onnx, pt2_relative=in_torch[1]
    )


def _answers(
    pt2: Path, onnx: Path, inputs: Sequence[str], arguments: Sequence[tuple[Tensor, ...]]
) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """What the two files make of each of the arguments."""
    import onnxruntime

    program = torch.export.load(pt2).module()
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        in_torch = [[value.numpy() for value in program(*given)] for given in arguments]
    in_onnx = [
        session.run(None, {name: value.numpy() for name, value in zip(inputs, given, strict=True)})
        for given in arguments
    ]
    return in_torch, in_onnx


def _bare(names: Sequence[str]) -> tuple[str, ...]:
    """features[rear] -> features, unless two names become one."""
    bare = tuple(name.partition("[")[0] for name in names)
    return bare if len(set(bare)) == len(bare) else tuple(names)


def _write(
    stage: Stage, arguments: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str], pt2: Path, onnx: Path
) -> None:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporters, about themselves
            program = torch.export.export(stage.module, arguments)
            torch.export.save(program, pt2)
            written = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=list(inputs), output_names=list(outputs)
            )
            assert written is not None  # it is where no file name is given
            written.save(onnx, external_data=False)
    except Exception as error:  # the exporters raise whatever their many parts do
        inner: BaseException = error
        while inner.__cause__ is not None:
            inner = inner.__cause__
        reason = next((line for line in str(inner).splitlines() if line.strip()), type(inner).__name__)
        raise UserError(f"stage {stage.name!r} cannot be exported: {reason.strip()}") from error


def _worst(answers: list[list[np.ndarray]], expected: list[list[np.ndarray]]) -> tuple[float, float]:
    """Over all runs and outputs: the largest absolute difference, and the largest relative one."""
    found = [
        _difference(given, wanted)
        for run in zip(answers, expected, strict=True)
        for given, wanted in zip(*run, strict=True)
    ]
    return max(absolute for absolute, _ in found), max(relative for _, relative in found)


def _difference(given: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Largest absolute difference, and the same over the largest wanted value; infinite where shapes or NaNs differ."""
    if given.shape != wanted.shape or not np.array_equal(np.isnan(given), np.isnan(wanted)):
        return float("inf"), float("inf")
    absolute, scale = (
        float(np.nanmax(np.abs(values.astype(np.float64)), initial=0.0))
        for values in (given - wanted.astype(np.float64), wanted)
    )
    return absolute, absolute / max(scale, float(np.finfo(np.float32).tiny))
