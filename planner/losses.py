"""What imitation asks of the network.

Shapes:  B batch   M cameras   P path points   N waypoints   S speed classes   R, K rows and columns of the BEV grid
         G labelled boxes (padded)   A agents   T future steps   H, W picture
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bev import BevClass
from bev.heads.losses import completion_loss, depth_loss, detection_losses
from planner.config import ModelConfig
from planner.futures import futures_loss
from planner.types import SPEED_CLASSES_MPS, Light, Manoeuvre

_HIDDEN = (BevClass.VEHICLE, BevClass.PEDESTRIAN)  # classes whose members may be known to be there, but not seen


@dataclass(frozen=True)
class LossConfig:
    """How much each term counts, and how rare classes are lifted."""

    path: float = 1.0
    waypoints: float = 0.1
    speed: float = 1.0
    manoeuvre: float = 0.2
    light: float = 0.5
    segmentation: float = 1.0
    heatmap: float = 0.5
    boxes: float = 0.5
    futures: float = 0.1
    depth: float = 0.3
    completion: float = 0.2
    out_of_sight: float = 0.3  # weight of cells of road and lines that no camera sees: they can only be guessed
    speed_class_weights: tuple[float, ...] = (1.0,) * len(SPEED_CLASSES_MPS)
    light_class_weights: tuple[float, ...] = (1.0,) * len(Light)
    manoeuvre_class_weights: tuple[float, ...] = (1.0,) * len(Manoeuvre)
    # road, lane line, vehicle, stop, pedestrian, crosswalk
    segmentation_positive_weights: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 6.0, 3.0)

    def __post_init__(self) -> None:
        for name, length in (
            ("speed_class_weights", len(SPEED_CLASSES_MPS)),
            ("light_class_weights", len(Light)),
            ("manoeuvre_class_weights", len(Manoeuvre)),
            ("segmentation_positive_weights", len(BevClass)),
        ):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} takes {length} numbers, received {getattr(self, name)}")


def driving_loss(
    outputs: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    config: LossConfig,
    model: ModelConfig,
    planning: bool = True,
) -> dict[str, Tensor]:
    """Loss terms by name, their weighted sum under "total".

    labels: label_bev (B, 6, R, K) of 0 or 1; label_seen (B, R, K) 1 in the line of sight of a camera; label_known
    (B, R, K) 0 where somebody stands whom no camera sees; label_light (B,) int; label_depth (B, M, H/2, W/2) m;
    label_boxes (B, G, len(Agent)), SCORE 1 for boxes that count; and for the planning label_path (B, P, 2),
    label_waypoints (B, N, 2), label_target_speed (B,) m/s, label_manoeuvre (B,) int, label_futures (B, G, T, 3) x, y
    and whether they are known.
    """
    terms = perception_terms(outputs, labels, config, model)
    if planning:
        terms |= planning_terms(outputs, labels, config)
    terms["total"] = torch.stack([getattr(config, name) * term for name, term in terms.items()]).sum()
    return terms


def perception_terms(
    outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], config: LossConfig, model: ModelConfig
) -> dict[str, Tensor]:
    heatmap, boxes = detection_losses(
        outputs["detection_heatmap"].float(),
        outputs["detection_boxes"].float(),
        labels["label_boxes"],
        labels["label_known"],
        model.grid,
    )
    light = F.cross_entropy(
        outputs["light_logits"].float(),
        labels["label_light"].long(),
        weight=labels["label_boxes"].new_tensor(config.light_class_weights),
    )
    return {
        "segmentation": segmentation_loss(outputs["bev_segmentation"].float(), labels, config),
        "heatmap": heatmap,
        "boxes": boxes,
        "light": light,
        "depth": depth_loss(outputs["depth_logits"].float(), labels["label_depth"], model.depth_bins),
        "completion": completion_loss(outputs["depth"].float(), labels["label_depth"], model.depth_bins.last_m),
    }


def planning_terms(
    outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], config: LossConfig
) -> dict[str, Tensor]:
    speed_weights = labels["label_target_speed"].new_tensor(config.speed_class_weights)
    target = two_hot_speed(labels["label_target_speed"]) * speed_weights
    log_speed = F.log_softmax(outputs["speed_logits"].float(), dim=1)
    return {
        "path": F.l1_loss(outputs["raw_path"].float(), labels["label_path"]),
        "waypoints": F.l1_loss(outputs["raw_waypoints"].float(), labels["label_waypoints"]),
        "speed": -(target * log_speed).sum() / target.sum(),
        "manoeuvre": F.cross_entropy(
            outputs["manoeuvre_logits"].float(),
            labels["label_manoeuvre"].long(),
            weight=speed_weights.new_tensor(config.manoeuvre_class_weights),
        ),
        "futures": futures_loss(
            outputs["agent_boxes"].float(),
            outputs["agent_futures"].float(),
            outputs["agent_modes"].float(),
            labels["label_boxes"],
            labels["label_futures"],
        ),
    }


def segmentation_loss(logits: Tensor, labels: Mapping[str, Tensor], config: LossConfig) -> Tensor:
    """Binary cross entropy and Dice over the cells that can be known (see `driving_loss` for the labels)."""
    truth = labels["label_bev"].float()
    seen, known = labels["label_seen"].float(), labels["label_known"].float()
    guessed = config.out_of_sight + (1.0 - config.out_of_sight) * seen
    weight = torch.stack([known if item in _HIDDEN else guessed for item in BevClass], dim=1)
    positive = truth.new_tensor(config.segmentation_positive_weights)[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight=weight, pos_weight=positive)
    return entropy + 0.5 * dice_loss(logits, truth, weight)


def dice_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """1 - soft Dice coefficient over batch, rows and columns, mean over classes (Milletari et al., arXiv 1606.04797):
    thin lines and few stop strips count as much as the wide road."""
    probability = logits.sigmoid()
    overlap = (weight * probability * truth).sum(dim=(0, 2, 3))
    total = (weight * (probability + truth)).sum(dim=(0, 2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def two_hot_speed(speed: Tensor) -> Tensor:
    """(B,) m/s -> (B, S) probabilities on the two classes around it whose mean is the speed (the speed
    classes of "Hidden Biases of End-to-End Driving Models", arXiv 2306.07957, made soft). Beyond the last: the last."""
    classes = speed.new_tensor(SPEED_CLASSES_MPS)
    speed = speed.clamp(float(classes[0]), float(classes[-1]))
    upper = torch.searchsorted(classes, speed.contiguous()).clamp(1, len(classes) - 1)
    share = (speed - classes[upper - 1]) / (classes[upper] - classes[upper - 1])
    target = speed.new_zeros(len(speed), len(classes))
    target.scatter_(1, upper[:, None], share[:, None])
    target.scatter_(1, upper[:, None] - 1, 1 - share[:, None])
    return target
