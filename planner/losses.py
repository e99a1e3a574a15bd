"""What imitation asks of the network.

Shapes:  B batch   P path points   N waypoints   S speed classes   R, K rows and columns of the BEV grid
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from planner.types import SPEED_CLASSES_MPS, Light


@dataclass(frozen=True)
class LossConfig:
    """How much each term counts, and how rare classes are lifted."""

    path: float = 1.0
    waypoints: float = 0.1
    speed: float = 1.0
    light: float = 0.5
    segmentation: float = 1.0
    speed_class_weights: tuple[float, ...] = (1.0,) * len(SPEED_CLASSES_MPS)
    light_class_weights: tuple[float, ...] = (1.0,) * len(Light)
    segmentation_positive_weights: tuple[float, ...] = (1.0, 2.0, 4.0, 4.0)  # road, lane line, vehicle, stop

    def __post_init__(self) -> None:
        for name, length in (
            ("speed_class_weights", len(SPEED_CLASSES_MPS)),
            ("light_class_weights", len(Light)),
        ):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} takes {length} numbers, received {getattr(self, name)}")


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


def driving_loss(outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], config: LossConfig) -> dict[str, Tensor]:
    """labels: label_path (B, P, 2), label_waypoints (B, N, 2), label_target_speed (B,) m/s, label_light (B,) int,
    label_bev (B, 4, R, K) of 0 or 1."""
    speed_weights = labels["label_target_speed"].new_tensor(config.speed_class_weights)
    target = two_hot_speed(labels["label_target_speed"]) * speed_weights
    log_speed = F.log_softmax(outputs["speed_logits"].float(), dim=1)
    logits, bev = outputs["bev_segmentation"].float(), labels["label_bev"].float()
    terms = {
        "path": F.l1_loss(outputs["path"].float(), labels["label_path"]),
        "waypoints": F.l1_loss(outputs["waypoints"].float(), labels["label_waypoints"]),
        "speed": -(target * log_speed).sum() / target.sum(),
        "light": F.cross_entropy(
            outputs["light_logits"].float(),
            labels["label_light"].long(),
            weight=speed_weights.new_tensor(config.light_class_weights),
        ),
        "segmentation": F.binary_cross_entropy_with_logits(
            logits, bev, pos_weight=bev.new_tensor(config.segmentation_positive_weights)[:, None, None]
        )
        + 0.5 * dice_loss(logits, bev),
    }
    terms["total"] = sum(getattr(config, name) * term for name, term in terms.items())
    return terms


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - soft Dice coefficient over batch, rows and columns, mean over classes (Milletari et al., arXiv 1606.04797):
    thin lines and few stop strips count as much as the wide road."""
    probability = logits.sigmoid()
    overlap = (probability * truth).sum(dim=(0, 2, 3))
    total = (probability + truth).sum(dim=(0, 2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
