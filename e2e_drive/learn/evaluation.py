"""How well the network knows drives it has not learned from (open loop: it does not drive here).

Shapes:  B batch   R, K rows and columns of the BEV grid   G labelled boxes   T future steps
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from bev import BevClass, BevGrid, BoxKind, FloatArray
from bev.heads import Agent
from e2e_drive.scores.detection import AveragePrecision
from planner.config import ModelConfig
from planner.control import ControllerConfig
from planner.model import DrivingModel
from planner.types import (
    FUTURE_SPACING_S,
    FUTURE_STEPS,
    PATH_SPACING_M,
    SPEED_CLASSES_MPS,
    WAYPOINT_SPACING_S,
    Light,
    Manoeuvre,
)

_STOP_MPS = 0.75  # a target below this is a stop: nearer to class 0 than to the next
_LIGHT_M = (10.0, 40.0)  # where a light has to be read
_HORIZON_S = 2.0
_EGO_HALF_M = (2.45, 0.92)  # half length and width of the car (Lincoln MKZ)
_SOMEBODY = (BevClass.VEHICLE, BevClass.PEDESTRIAN)


class _Tally:
    """What is gathered over all batches."""

    def __init__(self) -> None:
        self.overlap, self.union = np.zeros((2, len(BevClass))), np.zeros((2, len(BevClass)))
        self.precision = {kind: AveragePrecision(int(kind)) for kind in BoxKind}
        self.columns: dict[str, list[Tensor]] = {}

    def keep(self, **columns: Tensor) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)

    def column(self, name: str) -> Tensor:
        return torch.cat(self.columns[name])


def evaluate(model: DrivingModel, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """Metrics by name. batches: with image[<camera>] inputs, memories and labels; used in evaluation mode.

    iou_road, iou_lane_line, iou_stop, iou_crosswalk: over cells in a camera's line of sight (`_all`: over all cells);
    iou_vehicle, iou_pedestrian: over all cells but those where somebody stands whom no camera sees.
    path_error_2s: distance between the paths where the expert will be in 2 s; waypoint_error_2s: between the positions.
    collision_rate: share of frames whose first 2 s of waypoints touch somebody; collision_rate_expert: the same of the
    expert's.
    """
    model.eval()
    tally = _Tally()
    with torch.inference_mode():
        for batch in batches:
            out = model(model.with_memory(batch))
            outputs = {name: tensor.float().cpu() for name, tensor in out.items() if name not in batch}
            labels = {name: tensor.cpu() for name, tensor in batch.items() if name.startswith("label_")}
            _add_scene(tally, outputs, labels, model.config)
            _add_driving(tally, outputs, labels)
    return _scene_metrics(tally) | _driving_metrics(tally)


def _add_scene(tally: _Tally, out: Mapping[str, Tensor], labels: Mapping[str, Tensor], config: ModelConfig) -> None:
    guess, truth = out["bev_segmentation"] > 0, labels["label_bev"].bool()
    seen, known = labels["label_seen"].bool(), labels["label_known"].bool()
    for row, mask in enumerate((seen, torch.ones_like(seen))):
        masks = torch.stack([known if item in _SOMEBODY else mask for item in BevClass], dim=1)
        tally.overlap[row] += (guess & truth & masks).sum(dim=(0, 2, 3)).numpy()
        tally.union[row] += ((guess | truth) & masks).sum(dim=(0, 2, 3)).numpy()
    for found, boxes in zip(out["agent_boxes"].numpy(), labels["label_boxes"].numpy(), strict=True):
        for precision in tally.precision.values():
            precision.add(found, _on_grid(boxes, config.grid))
    depth, depth_m = out["depth"], labels["label_depth"]
    near = (depth_m > 0.5) & (depth_m < config.depth_bins.last_m)
    tally.keep(depth=((depth - depth_m).abs() / depth_m.clamp(min=0.5))[near])
    tally.keep(light=out["light_logits"].argmax(dim=1), label_light=labels["label_light"])
    tally.keep(light_distance=labels["label_light_distance"])


def _on_grid(boxes: FloatArray, grid: BevGrid) -> FloatArray:
    """Boxes out of the grid's reach are nobody."""
    x, y = boxes[:, Agent.X], boxes[:, Agent.Y]
    inside = (x > grid.x_min_m) & (x < grid.x_max_m) & (y > grid.y_min_m) & (y < grid.y_max_m)
    return np.where(inside[:, None], boxes, 0.0)


def _add_driving(tally: _Tally, out: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
    classes = torch.tensor(SPEED_CLASSES_MPS)
    target = labels["label_target_speed"]
    path_error = (out["path"] - labels["label_path"]).norm(dim=-1)
    waypoints, truth = out["waypoints"], labels["label_waypoints"]
    at_2s = round(_HORIZON_S / WAYPOINT_SPACING_S) - 1
    legs = torch.cat([truth[:, :1], truth.diff(dim=1)], dim=1).norm(dim=-1)
    travelled = legs[:, : at_2s + 1].sum(dim=1)
    probabilities = out["speed_logits"].softmax(dim=1)
    nearest = (target[:, None] - classes).abs().argmin(dim=1)
    tally.keep(
        path=path_error,
        path_2s=_at_arc(path_error, travelled),
        waypoints=(waypoints - truth).norm(dim=-1),
        speed_error=(probabilities @ classes - target).abs(),
        speed_hit=(probabilities.argmax(dim=1) == nearest).float(),
        stop=probabilities[:, 0] > ControllerConfig.stop_probability,
        label_stop=target < _STOP_MPS,
        manoeuvre=out["manoeuvre_logits"].argmax(dim=1),
        label_manoeuvre=labels["label_manoeuvre"],
        hit=_touches(waypoints, labels),
        hit_expert=_touches(truth, labels),
    )


def _at_arc(error: Tensor, arc_m: Tensor) -> Tensor:
    """error (B, P) at multiples of PATH_SPACING_M, zero at the start -> (B,) interpolated at arc_m (B,)."""
    padded = torch.cat([torch.zeros(len(error), 1), error], dim=1)
    place = (arc_m / PATH_SPACING_M).clamp(0, error.shape[1] - 1e-3)
    low = place.floor().long()
    share = place - low
    rows = torch.arange(len(error))
    return padded[rows, low] * (1 - share) + padded[rows, low + 1] * share


def _touches(waypoints: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    """(B,) whether the ego, driving waypoints (B, N, 2), comes within another's box, seen as two circles each, in the
    next two seconds. Others go where they really went; those who touch it already do not count."""
    boxes, futures = labels["label_boxes"], labels["label_futures"]
    steps = round(FUTURE_SPACING_S / WAYPOINT_SPACING_S)
    ego = torch.cat(
        [waypoints.new_zeros(len(waypoints), 1, 2), waypoints[:, steps - 1 : steps * FUTURE_STEPS : steps]], 1
    )
    move = ego.diff(dim=1)
    heading = move / move.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    heading = torch.where(move.norm(dim=-1, keepdim=True) > 0.3, heading, torch.tensor([1.0, 0.0]))
    yaw = boxes[..., Agent.YAW]
    axis = torch.stack([torch.cos(yaw), torch.sin(yaw)], dim=-1)[:, :, None]  # (B, G, 1, 2)
    half = (boxes[..., Agent.LENGTH] - boxes[..., Agent.WIDTH]).clamp(min=0.0)[:, :, None, None] / 2.0
    reach = (boxes[..., Agent.WIDTH] / 2.0 + _EGO_HALF_M[1])[:, :, None]
    known = (futures[..., 2] > 0.5) & (boxes[..., Agent.SCORE] > 0.5)[..., None]
    touched = torch.zeros(len(boxes), futures.shape[1], FUTURE_STEPS, dtype=torch.bool)
    already = torch.zeros(len(boxes), futures.shape[1], 1, dtype=torch.bool)
    for mine in (-1.0, 0.0, 1.0):
        offset = mine * (_EGO_HALF_M[0] - _EGO_HALF_M[1])
        circle = ego[:, 1:] + heading * offset
        for theirs in (-1.0, 0.0, 1.0):
            other = futures[..., :2] + axis * half * theirs
            touched |= (other - circle[:, None]).norm(dim=-1) < reach
            now = boxes[..., Agent.X : Agent.Y + 1][:, :, None] + axis * half * theirs
            already |= (now - torch.tensor([offset, 0.0])).norm(dim=-1) < reach
    return (touched & known & ~already).flatten(1).any(dim=1)


def _scene_metrics(tally: _Tally) -> dict[str, float]:
    share = tally.overlap / np.maximum(tally.union, 1)
    metrics = {f"iou_{item.name.lower()}": float(share[0, item]) for item in BevClass}
    metrics |= {f"iou_{item.name.lower()}_all": float(share[1, item]) for item in BevClass if item not in _SOMEBODY}
    values = {kind: precision.value for kind, precision in tally.precision.items()}
    metrics["detection_map"] = float(np.mean([value for value in values.values() if not np.isnan(value)] or [np.nan]))
    metrics |= {f"ap_{kind.name.lower()}": value for kind, value in values.items()}
    metrics["depth_abs_rel"] = float(tally.column("depth").mean())
    light, truth, distance = (tally.column(name) for name in ("light", "label_light", "light_distance"))
    metrics["light_accuracy"] = _share(light == truth, given=torch.ones(len(light), dtype=torch.bool))
    near = (distance >= _LIGHT_M[0]) & (distance <= _LIGHT_M[1])
    metrics["light_accuracy_10_40m"] = _share(light == truth, given=near)
    for item in Light:
        metrics[f"light_recall_{item.name.lower()}"] = _share(light == item, given=truth == item)
    return metrics


def _driving_metrics(tally: _Tally) -> dict[str, float]:
    path = tally.column("path").mean(dim=0)
    metrics = {f"path_error_{d}m": float(path[round(d / PATH_SPACING_M) - 1]) for d in (10, 20)}
    metrics["path_error_2s"] = float(tally.column("path_2s").mean())
    waypoints = tally.column("waypoints").mean(dim=0)
    metrics["waypoint_error_2s"] = float(waypoints[round(_HORIZON_S / WAYPOINT_SPACING_S) - 1])
    metrics["waypoint_error"] = float(waypoints.mean())
    metrics["speed_error_mps"] = float(tally.column("speed_error").mean())
    metrics["speed_class_accuracy"] = float(tally.column("speed_hit").mean())
    stop, truth = tally.column("stop"), tally.column("label_stop")
    metrics["stop_recall"], metrics["stop_precision"] = _share(stop, given=truth), _share(truth, given=stop)
    manoeuvre, meant = tally.column("manoeuvre"), tally.column("label_manoeuvre")
    for item in Manoeuvre:
        metrics[f"manoeuvre_recall_{item.name.lower()}"] = _share(manoeuvre == item, given=meant == item)
    metrics["collision_rate"] = float(tally.column("hit").float().mean())
    metrics["collision_rate_expert"] = float(tally.column("hit_expert").float().mean())
    return metrics


def _share(what: Tensor, given: Tensor) -> float:
    """NaN where nothing was given: no statement, and no division by zero."""
    count = int(given.sum())
    return float((what & given).sum()) / count if count else float("nan")
