"""How well the network imitates the expert on drives it has not learned from (open loop: it does not drive here)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from bev import BevClass
from planner.model import DrivingModel
from planner.types import PATH_SPACING_M, SPEED_CLASSES_MPS, Light

_STOP_MPS = 0.75  # a target below this is a stop: nearer to class 0 than to the next


def evaluate(model: DrivingModel, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, float]:
    """Metrics by name. batches: with image[<camera>] inputs and labels; the model is used in evaluation mode."""
    model.eval()
    overlap, union = np.zeros(1), np.zeros(1)
    path, waypoints, speed, stops, lights = [], [], [], [], []
    classes = torch.tensor(SPEED_CLASSES_MPS)
    with torch.inference_mode():
        for batch in batches:
            out = {name: tensor.float().cpu() for name, tensor in model(batch).items() if name not in batch}
            labels = {name: tensor.cpu() for name, tensor in batch.items() if name.startswith("label_")}
            guess, truth = out["bev_segmentation"] > 0, labels["label_bev"].bool()
            overlap = overlap + (guess & truth).sum(dim=(0, 2, 3)).numpy()
            union = union + (guess | truth).sum(dim=(0, 2, 3)).numpy()
            path.append((out["path"] - labels["label_path"]).norm(dim=-1))
            waypoints.append((out["waypoints"] - labels["label_waypoints"]).norm(dim=-1))
            probabilities, target = out["speed_logits"].softmax(dim=1), labels["label_target_speed"]
            nearest = (target[:, None] - classes).abs().argmin(dim=1)
            hit = (probabilities.argmax(dim=1) == nearest).float()
            speed.append(torch.stack([(probabilities @ classes - target).abs(), hit], dim=1))
            stops.append(torch.stack([probabilities[:, 0] > 0.4, target < _STOP_MPS], dim=1))
            lights.append(torch.stack([out["light_logits"].argmax(dim=1), labels["label_light"]], dim=1))
    path_error, stop, light = torch.cat(path).mean(dim=0), torch.cat(stops), torch.cat(lights)
    speed_error, speed_hit = torch.cat(speed).mean(dim=0).tolist()
    metrics = {
        f"iou_{item.name.lower()}": float(overlap[item] / max(union[item], 1)) for item in list(BevClass)[: len(union)]
    }
    for distance_m in (10, 20):
        metrics[f"path_error_{distance_m}m"] = float(path_error[round(distance_m / PATH_SPACING_M) - 1])
    metrics["waypoint_error"] = float(torch.cat(waypoints).mean())
    metrics["speed_error_mps"], metrics["speed_class_accuracy"] = speed_error, speed_hit
    metrics["stop_recall"] = _share(stop[:, 0], given=stop[:, 1])
    metrics["stop_precision"] = _share(stop[:, 1], given=stop[:, 0])
    metrics["light_accuracy"] = _share(light[:, 0] == light[:, 1], given=torch.ones(len(light), dtype=torch.bool))
    for item in Light:
        metrics[f"light_recall_{item.name.lower()}"] = _share(light[:, 0] == item, given=light[:, 1] == item)
    return metrics


def _share(what: Tensor, given: Tensor) -> float:
    """NaN where nothing was given: no statement, and no division by zero."""
    count = int(given.sum())
    return float((what & given).sum()) / count if count else float("nan")
