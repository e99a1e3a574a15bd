"""Statistics as LeRobot keeps them beside its data: by number of a vector, by channel of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bev import FloatArray, ImageArray

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)


def statistics(values: FloatArray) -> dict[str, list[Any]]:
    """values: (N, D). Each statistic is a list of D numbers, `count` of one."""
    table = np.asarray(values, np.float64)
    found = {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        **{f"q{round(100 * q):02d}": np.quantile(table, q, axis=0) for q in QUANTILES},
    }
    return {name: row.tolist() for name, row in found.items()} | {"count": [len(table)]}


def image_statistics(pictures: Sequence[ImageArray]) -> dict[str, list[Any]]:
    """pictures: (H, W, 3). Each statistic has the shape (3, 1, 1), of values in [0, 1]; count: pictures."""
    channels = np.concatenate([picture.reshape(-1, 3) for picture in pictures]) / 255.0
    found = {name: [[[value]] for value in row] for name, row in statistics(channels).items()}
    return found | {"count": [len(pictures)]}
