"""Pictures in rows under headings, on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from e2e_drive.report.canvas import Canvas

Picture = npt.NDArray[np.uint8]  # (H, W, 3) red green blue
PAPER, INK, SOFT = (16, 18, 24), (236, 238, 242), (150, 156, 168)
MARGIN, GAP, CAPTION, HEADING, TITLE = 36, 10, 26, 50, 96  # [px]


@dataclass(frozen=True)
class Row:
    """Pictures of one size side by side, each with its caption; `heading` above those that begin a section."""

    pictures: Mapping[str, Picture]
    heading: str = ""


def contact_sheet(title: str, subtitle: str, rows: Sequence[Row]) -> Picture:
    """(H, W, 3) the whole sheet; ValueError without a picture."""
    sizes = [picture.shape[:2] for row in rows for picture in row.pictures.values()]
    if not sizes:
        raise ValueError("a contact sheet needs at least one picture, received none")
    cell_height, cell_width = max(h for h, _ in sizes), max(w for _, w in sizes)
    columns = max(len(row.pictures) for row in rows)
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * GAP
    height = TITLE + MARGIN + sum(cell_height + CAPTION + GAP + (HEADING if row.heading else 0) for row in rows)
    canvas = Canvas(np.full((height, width, 3), PAPER, np.uint8))
    canvas.text(title, MARGIN, 24, 34, INK, bold=True)
    canvas.text(subtitle, MARGIN, 66, 17, SOFT)
    y = TITLE
    for row in rows:
        if row.heading:
            canvas.text(row.heading, MARGIN, y + 14, 24, INK, bold=True)
            y += HEADING
        for column, (caption, picture) in enumerate(row.pictures.items()):
            x = MARGIN + column * (cell_width + GAP)
            canvas.pixels[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            canvas.text(caption, x + 2, y + cell_height + 5, 15, SOFT)
        y += cell_height + CAPTION + GAP
    return canvas.pixels
