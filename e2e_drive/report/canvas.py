"""A picture one can write and draw on: anti-aliased shapes and text on an RGB array, quick enough for video."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Align = Literal["left", "centre", "right"]
Mask = npt.NDArray[np.uint8]  # coverage, 0..255
_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 4  # cv2 takes fixed-point coordinates


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # Aileron, which Pillow carries within
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this build of Pillow has no FreeType and cannot draw text of a given size")
    return font


@lru_cache(maxsize=4096)
def _text_mask(text: str, size: int, bold: bool) -> tuple[Mask, int]:
    """Coverage of one line of text, and how far its top lies below the line's top (the ascender line)."""
    font = _font(size)
    stroke = 0.35 * size / 20 if bold else 0
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    width, height = int(np.ceil(right - left)) + 2, int(np.ceil(bottom - top)) + 2
    picture = Image.new("L", (max(width, 1), max(height, 1)))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=255, font=font, stroke_width=stroke)
    return np.asarray(picture), int(top) - 1


@lru_cache(maxsize=512)
def _rounded_mask(width: int, height: int, radius: int) -> Mask:
    scale = _SUPERSAMPLING
    picture = Image.new("L", (width * scale, height * scale))
    box = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(picture).rounded_rectangle(box, radius * scale, fill=255)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


class Canvas:
    """Draws on `pixels` in place. Positions are pixels from the top left corner."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def text(
        self,
        text: str,
        x: float,
        y: float,
        size: int,
        colour: Colour,
        *,
        bold: bool = False,
        align: Align = "left",
    ) -> int:
        """One line whose ascenders reach up to y; returns its width."""
        mask, top = _text_mask(text, size, bold)
        width = mask.shape[1] - 2
        shift = {"left": 0.0, "centre": width / 2, "right": float(width)}[align]
        self.blend(mask, round(x - shift) - 1, round(y) + top, colour)
        return width

    def rounded(
        self, x: float, y: float, width: float, height: float, radius: int, colour: Colour, opacity: float = 1.0
    ) -> None:
        """A filled rounded rectangle."""
        if width < 1 or height < 1:
            return
        w, h = round(width), round(height)
        self.blend(_rounded_mask(w, h, min(radius, w // 2, h // 2)), round(x), round(y), colour, opacity)

    def blend(self, mask: Mask, x: int, y: int, colour: Colour, opacity: float = 1.0) -> None:
        """Paints colour through a coverage mask whose top left corner lies at (x, y); clipped to the picture."""
        height, width = self.pixels.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return
        cover = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.uint16)
        if opacity < 1.0:
            cover = (cover * opacity).astype(np.uint16)
        cover += cover >> 7  # 0..255 -> 0..256, so that a shift divides
        below = self.pixels[y0:y1, x0:x1]
        below[:] = (below * (256 - cover) + np.array(colour, dtype=np.uint16) * cover) >> 8

    def line(self, points: npt.ArrayLike, colour: Colour, thickness: int = 1) -> None:
        """An open polyline through (N, 2) points."""
        cv2.polylines(self.pixels, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def polygon(self, points: npt.ArrayLike, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [_fixed(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        (centre,) = _fixed([[x, y]])
        cv2.circle(
            self.pixels,
            tuple(map(int, centre)),
            round(radius * 2**_SUBPIXEL_BITS),
            colour,
            -1,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )

    def bar(self, x: float, y: float, width: float, height: float, share: float, colour: Colour, track: Colour) -> None:
        """A horizontal gauge filled to share (0..1)."""
        self.rounded(x, y, width, height, round(height / 2), track)
        self.rounded(x, y, max(width * min(max(share, 0.0), 1.0), height), height, round(height / 2), colour)

    def sparkline(
        self, values: Sequence[float], x: float, y: float, width: float, height: float, top: float, colour: Colour
    ) -> None:
        """values (oldest first, spread over the width) against 0..top, with a soft area below the line."""
        if len(values) < 2:
            return
        xs = np.linspace(x, x + width, len(values))
        ys = y + height * (1.0 - np.clip(np.asarray(values) / top, 0.0, 1.0))
        box = self.pixels[round(y) : round(y + height) + 1, round(x) : round(x + width) + 1]
        area = box.copy()
        corners = [(xs[-1], y + height), (xs[0], y + height)]
        Canvas(area).polygon(np.vstack([np.stack([xs, ys], 1), corners]) - (round(x), round(y)), colour)
        box[:] = cv2.addWeighted(area, 0.22, box, 0.78, 0.0)
        self.line(np.stack([xs, ys], 1), colour, 2)
        self.dot(float(xs[-1]), float(ys[-1]), 3.5, colour)


def _fixed(points: npt.ArrayLike) -> npt.NDArray[np.int32]:
    return np.round(np.asarray(points, dtype=np.float64) * 2**_SUBPIXEL_BITS).astype(np.int32)
