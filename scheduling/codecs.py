"""How a tensor crosses the air: real encoders with real byte counts.

Every payload starts with a small header (dtype, shape), so that it can be decoded from its bytes alone; nothing is
pickled. Codec times per raw byte are order-of-magnitude figures for a few CPU threads of an embedded board; encoding
runs beside the accelerator and delays only its own tensor.

What codecs do to real tensors: medians over the 3 pictures and 7 feature maps of the shipped weights, 20 frames of the
first drive (`e2e_drive.bench.codecs`). Payload over raw bytes (fp32, pictures uint8), and `codec_error`, the error's
RMS over that of the tensor:

    codec     payload   error        range of payload      range of error
    fp16      0.500     0.0002
    int8      0.13      0.007        0.11 .. 0.24          0.004 .. 0.007
    int4      0.072     0.059        0.045 .. 0.12         0.049 .. 0.091
    jpeg      0.110     0.038        0.106 .. 0.114        0.037 .. 0.049        (quality 90)
    jpeg70    0.063     0.055        0.059 .. 0.063        0.051 .. 0.067
    jpeg50    0.048     0.063        0.044 .. 0.048        0.060 .. 0.077

The pictures are rendered; photographs have more texture and weigh more.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import zstandard

AnyArray = npt.NDArray[np.generic]
_DTYPES = ("uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bool")


def _pack_header(array: AnyArray) -> bytes:
    return struct.pack(f"<BB{array.ndim}I", _DTYPES.index(array.dtype.name), array.ndim, *array.shape)


def _unpack_header(payload: bytes) -> tuple[np.dtype, tuple[int, ...], bytes]:
    code, ndim = struct.unpack_from("<BB", payload)
    shape = struct.unpack_from(f"<{ndim}I", payload, 2)
    return np.dtype(_DTYPES[code]), shape, payload[2 + 4 * ndim :]


@dataclass(frozen=True)
class Codec(ABC):
    """nominal_ratio: payload over raw bytes, believed until real payloads have been seen.
    quality_price_s: what the loss of precision is worth, in seconds of latency (a preference, not a measurement)."""

    name: str
    nominal_ratio: float
    encode_bytes_per_s: float
    decode_bytes_per_s: float
    quality_price_s: float = 0.0

    constant_rate: ClassVar[bool] = False  # the payload depends on the shape alone

    @abstractmethod
    def encode(self, array: AnyArray) -> bytes: ...

    @abstractmethod
    def decode(self, payload: bytes) -> AnyArray: ...

    def encode_s(self, raw_bytes: float) -> float:
        return raw_bytes / self.encode_bytes_per_s

    def decode_s(self, raw_bytes: float) -> float:
        return raw_bytes / self.decode_bytes_per_s


def channel_axis(ndim: int) -> int:
    """1 of a feature map (B, C, H, W), else the last."""
    return 1 if ndim == 4 else ndim - 1


class RawCodec(Codec):
    constant_rate = True

    def encode(self, array: AnyArray) -> bytes:
        return _pack_header(array) + np.ascontiguousarray(array).tobytes()

    def decode(self, payload: bytes) -> AnyArray:
        dtype, shape, body = _unpack_header(payload)
        return np.frombuffer(body, dtype).reshape(shape).copy()


class HalfCodec(Codec):
    """IEEE binary16, out-of-range values saturate."""

    constant_rate = True

    def encode(self, array: AnyArray) -> bytes:
        largest = float(np.finfo(np.float16).max)
        half = np.clip(np.asarray(array, np.float64), -largest, largest).astype(np.float16)
        return _pack_header(array) + half.tobytes()

    def decode(self, payload: bytes) -> AnyArray:
        dtype, shape, body = _unpack_header(payload)
        return np.frombuffer(body, np.float16).reshape(shape).astype(dtype)


class Int8Codec(Codec):
    """Symmetric int8 with one scale a channel (|x| = 127 steps), then zstd level 1.

    The channel is axis 1 of a feature map (B, C, H, W), else the last axis. |error| <= half a step.
    """

    def encode(self, array: AnyArray) -> bytes:
        values = np.asarray(array, np.float32)
        axis = channel_axis(values.ndim)
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = (np.abs(values).max(axis=others, keepdims=True) / np.float32(127.0)).astype(np.float32)
        steps = np.rint(values / np.where(scale > 0, scale, np.float32(1.0))).astype(np.int8)
        body = scale.tobytes() + zstandard.ZstdCompressor(level=1).compress(steps.tobytes())
        return _pack_header(array) + body

    def decode(self, payload: bytes) -> AnyArray:
        dtype, shape, body = _unpack_header(payload)
        axis = channel_axis(len(shape))
        scale_shape = tuple(n if i == axis else 1 for i, n in enumerate(shape))
        scale = np.frombuffer(body[: 4 * shape[axis]], np.float32).reshape(scale_shape)
        steps = np.frombuffer(zstandard.ZstdDecompressor().decompress(body[4 * shape[axis] :]), np.int8)
        return (steps.reshape(shape).astype(np.float32) * scale).astype(dtype)


class Int4Codec(Codec):
    """Sixteen steps between the least and the greatest value of a channel, two to a byte, then zstd level 1.

    Zero is one of the steps, so that what a ReLU has cut off stays cut off. |error| <= one step (half of it for
    values that all have one sign). Channels as in `Int8Codec`.
    """

    _STEPS = 15

    def encode(self, array: AnyArray) -> bytes:
        values = np.asarray(array, np.float32)
        axis = channel_axis(values.ndim)
        others = tuple(i for i in range(values.ndim) if i != axis)
        low = np.minimum(values.min(axis=others, keepdims=True, initial=0.0), 0.0)
        high = np.maximum(values.max(axis=others, keepdims=True, initial=0.0), 0.0)
        scale = ((high - low) / np.float32(self._STEPS)).astype(np.float32)
        scale = np.where(scale > 0, scale, np.float32(1.0))
        zero = np.rint(-low / scale)
        steps = np.clip(np.rint(values / scale) + zero, 0, self._STEPS).astype(np.uint8).ravel()
        if steps.size % 2:
            steps = np.append(steps, np.uint8(0))
        packed = steps[0::2] << 4 | steps[1::2]
        body = scale.tobytes() + zero.astype(np.uint8).tobytes()
        return _pack_header(array) + body + zstandard.ZstdCompressor(level=1).compress(packed.tobytes())

    def decode(self, payload: bytes) -> AnyArray:
        dtype, shape, body = _unpack_header(payload)
        axis = channel_axis(len(shape))
        channels = shape[axis]
        per_channel = tuple(n if i == axis else 1 for i, n in enumerate(shape))
        scale = np.frombuffer(body[: 4 * channels], np.float32).reshape(per_channel)
        zero = np.frombuffer(body[4 * channels : 5 * channels], np.uint8).reshape(per_channel)
        packed = np.frombuffer(zstandard.ZstdDecompressor().decompress(body[5 * channels :]), np.uint8)
        steps = np.stack([packed >> 4, packed & 15], axis=1).ravel()[: math.prod(shape)].reshape(shape)
        return ((steps.astype(np.float32) - zero) * scale).astype(dtype)


@dataclass(frozen=True)
class JpegCodec(Codec):
    """One RGB image, uint8 (1, 3, H, W)."""

    quality: int = 90

    def encode(self, array: AnyArray) -> bytes:
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[:2] != (1, 3):
            raise ValueError(f"jpeg carries uint8 (1, 3, H, W), received {array.dtype} {array.shape}")
        bgr = np.ascontiguousarray(array[0].transpose(1, 2, 0)[..., ::-1])
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        if not done:
            raise ValueError(f"cannot encode an image of shape {array.shape} as JPEG")
        return _pack_header(array) + data.tobytes()

    def decode(self, payload: bytes) -> AnyArray:
        _, shape, body = _unpack_header(payload)
        bgr = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"payload of {len(payload)} bytes is no JPEG image")
        return np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1)[None]).reshape(shape)


# Times: bytes of raw tensor a second, measured with this code on one x86 core (raw 2.8e9 / 15e9, fp16 4.5e8 / 5.6e8,
# int8 4.0e8 / 1.8e9, jpeg 2.7e8 / 5.8e8 on a smooth picture; int4 takes 1.15 / 1.45 times as long as int8, JPEG hardly
# depends on its quality) and halved or less for an embedded core. Ratios: the table above. Prices: preferences, in the
# order of the errors measured.
CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        RawCodec("raw", 1.0, encode_bytes_per_s=1.4e9, decode_bytes_per_s=4e9),
        HalfCodec("fp16", 0.5, encode_bytes_per_s=2e8, decode_bytes_per_s=2.5e8),
        Int8Codec("int8", 0.14, encode_bytes_per_s=2e8, decode_bytes_per_s=9e8, quality_price_s=1e-3),
        Int4Codec("int4", 0.075, encode_bytes_per_s=1.7e8, decode_bytes_per_s=6e8, quality_price_s=5e-3),
        JpegCodec("jpeg", 0.11, encode_bytes_per_s=1e8, decode_bytes_per_s=2e8, quality_price_s=1e-3),
        JpegCodec("jpeg70", 0.065, encode_bytes_per_s=1e8, decode_bytes_per_s=2e8, quality_price_s=3e-3, quality=70),
        JpegCodec("jpeg50", 0.05, encode_bytes_per_s=1e8, decode_bytes_per_s=2e8, quality_price_s=6e-3, quality=50),
    )
}


def nominal_payload_bytes(codec: str, raw_bytes: int) -> float:
    return CODECS[codec].nominal_ratio * raw_bytes + 16.0


def codec_error(codec: str, array: AnyArray) -> float:
    """What a codec costs in quality: root mean square of the error over that of the array (0 for an array of zeros)."""
    before = np.asarray(array, np.float64)
    after = np.asarray(CODECS[codec].decode(CODECS[codec].encode(array)), np.float64)
    power = float(np.mean(before**2)) if before.size else 0.0
    return math.sqrt(float(np.mean((after - before) ** 2)) / power) if power > 0.0 else 0.0
