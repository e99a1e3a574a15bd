"""Bars and tables of numbers as small pictures, in the style of the contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e2e_drive.report.canvas import Canvas
from e2e_drive.report.contact_sheet import INK, PAPER, SOFT

Picture = npt.NDArray[np.uint8]  # (H, W, 3) red green blue
WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 18, 18, 44, 34  # margins [px]
_BAR = (45, 212, 191)


def histogram(title: str, unit: str, values: Sequence[float], edges: Sequence[float]) -> Picture:
    """How many values lie between neighbouring edges; those beyond the last edge count to the last bar."""
    canvas = Canvas(np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8))
    inside = np.clip(np.asarray(values, np.float64), edges[0], np.nextafter(edges[-1], edges[0]))
    counts, _ = np.histogram(inside, edges)
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    tall = HEIGHT - TOP - BOTTOM
    for i, count in enumerate(counts):
        height = tall * count / max(counts.max(), 1)
        x, y = LEFT + i * width, HEIGHT - BOTTOM - height
        if count:
            x0, x1, floor = x + 1, x + width - 1, HEIGHT - BOTTOM
            canvas.polygon([(x0, y), (x1, y), (x1, floor), (x0, floor)], _BAR)
    canvas.line([(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], SOFT)
    every = -(-len(edges) // 9)
    for i in range(0, len(edges), every):
        canvas.text(f"{edges[i]:g}", LEFT + i * width, HEIGHT - BOTTOM + 6, 13, SOFT, align="centre")
    canvas.text(title, LEFT, 12, 18, INK, bold=True)
    mean = f", mean {inside.mean():.2f}" if len(inside) else ""
    canvas.text(f"{unit}, {len(inside):,} values{mean}", WIDTH - RIGHT, 14, 14, SOFT, align="right")
    return canvas.pixels


def grid(pictures: Sequence[Picture], columns: int) -> Picture:
    """Pictures of one size beside and below each other."""
    blank = np.full_like(pictures[0], PAPER)
    filled = [*pictures, *[blank] * (-len(pictures) % columns)]
    return np.vstack([np.hstack(filled[i : i + columns]) for i in range(0, len(filled), columns)])
