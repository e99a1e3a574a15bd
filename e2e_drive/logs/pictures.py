"""Pictures in a log: `foxglove.CompressedImage`, as PNG (lossless) or JPEG.

A replay is exact only on the very pixels that the network saw, and recording must not change the drive: so the pictures
are coded without loss, not driven by as decoded JPEG. The PNG is written here, one filter for all rows and igzip's
fastest deflate: six times as fast as libpng at its fastest, at the same size. Numbers in docs/replay.md.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from isal import isal_zlib

from bev import ImageArray

JPEG_QUALITY = 90
PNG, JPEG, NONE = "png", "jpeg", "none"
CODINGS = (PNG, JPEG, NONE)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEFLATE_LEVEL = 1
_TRUE_COLOUR, _BITS = 2, 8
_SUB = 1  # each byte minus that of the pixel to the left (PNG specification, 3rd edition, section 9)


def image_message(name: str, image: ImageArray, time_s: float, coding: str = JPEG, quality: int = JPEG_QUALITY) -> Any:
    """(H, W, 3) RGB picture -> Foxglove's CompressedImage. quality: of JPEG."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"camera {name!r}: (H, W, 3) uint8 is needed, received {image.shape} {image.dtype}")
    data = png_bytes(image) if coding == PNG else _jpeg_bytes(name, image, quality)
    message = CompressedImage(frame_id=name, data=data, format=coding)
    message.timestamp.FromNanoseconds(round(time_s * 1e9))
    return message


def image_of(message: Any) -> ImageArray:
    """Foxglove's CompressedImage -> (H, W, 3) RGB."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise ValueError(f"a picture of camera {message.frame_id!r} is no valid {message.format}")
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def png_bytes(image: ImageArray) -> bytes:
    """(H, W, 3) uint8 RGB -> a PNG file."""
    height, width, _ = image.shape
    flat = np.ascontiguousarray(image).reshape(height, 3 * width)
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = _SUB
    rows[:, 1:4] = flat[:, :3]
    np.subtract(flat[:, 3:], flat[:, :-3], out=rows[:, 4:])
    header = struct.pack(">IIBBBBB", width, height, _BITS, _TRUE_COLOUR, 0, 0, 0)
    pixels = isal_zlib.compress(rows.tobytes(), _DEFLATE_LEVEL)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", isal_zlib.crc32(kind + data))))


def _jpeg_bytes(name: str, image: ImageArray, quality: int) -> bytes:
    ok, jpeg = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"camera {name!r}: a picture of shape {image.shape} cannot be compressed")
    return jpeg.tobytes()
