"""Validation metrics and pictures for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bev import ImageArray
from e2e_drive.errors import UserError
from e2e_drive.learn.dataset import DriveDataset
from e2e_drive.learn.loop import validation_batches
from e2e_drive.report.scene import draw_bev
from planner.model import DrivingModel

_PICTURES = 4


class Board:
    """Writes below `out`/tensorboard: every metric as a curve, and a few held-out frames as the network sees them
    beside the labels."""

    def __init__(self, out: Path, validate: DriveDataset | None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("tensorboard=true needs the extra 'train': pip install 'e2e-drive[train]'") from error
        self._writer = SummaryWriter(str(out / "tensorboard"))
        self._validate = validate

    def write(self, step: int, metrics: dict[str, float], model: DrivingModel) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        if self._validate is not None:
            self._writer.add_image("held-out", draw_samples(model, self._validate), step, dataformats="HWC")
        self._writer.flush()


def draw_samples(model: DrivingModel, dataset: DriveDataset, count: int = _PICTURES) -> ImageArray:
    """(height, width, 3) RGB: a few samples below one another: pictures, labels from above, and what the network makes
    of it."""
    device = next(model.parameters()).device
    rows: list[ImageArray] = []
    for batch in validation_batches(dataset, count, str(device)):
        with torch.inference_mode():
            out = model(model.with_memory(batch))
        for i in range(min(len(batch["pose"]), count - len(rows))):
            pictures = [batch[f"image[{name}]"][i].permute(1, 2, 0).byte().cpu().numpy() for name in dataset.cameras]
            size = pictures[0].shape[0]
            views = [(batch["label_bev"][i].float(), batch["label_path"][i])]
            views.append((out["bev_segmentation"][i].float().sigmoid(), out["path"][i]))
            for bev, path in views:
                canvas = np.zeros((size, size, 3), np.uint8)
                draw_bev(canvas, bev.cpu().numpy(), model.config.grid, path.cpu().numpy(), False)
                pictures.append(canvas)
            rows.append(np.concatenate(pictures, axis=1))
    return np.concatenate(rows, axis=0)
