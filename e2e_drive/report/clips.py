"""The seconds around an infraction, cut out of a drive's video: small, and playable in every browser."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

BEFORE_S, AFTER_S = 3.0, 1.0
WIDTH = 400
_CRF = "32"


@dataclass(frozen=True)
class Clip:
    """mp4: a whole H.264 file. poster: a JPEG of the moment itself, for paper."""

    mp4: bytes
    poster: bytes


def cut_clip(video: Path, at_s: float) -> Clip | None:
    """From BEFORE_S before to AFTER_S after a moment of the video; None where the video does not reach, or is cut."""
    out = io.BytesIO()
    moment: av.VideoFrame | None = None
    try:
        with av.open(str(video)) as source, av.open(out, "w", format="mp4") as sink:
            stream = source.streams.video[0]
            height = round(WIDTH * stream.height / stream.width / 2) * 2
            rate = Fraction(stream.average_rate or 10)
            target = sink.add_stream("libx264", rate=rate, options={"crf": _CRF, "preset": "veryfast"})
            target.width, target.height, target.pix_fmt = WIDTH, height, "yuv420p"
            target.codec_context.time_base = 1 / rate
            source.seek(max(int((at_s - BEFORE_S) * 1e6), 0))  # to a key frame at or before
            number = 0
            for frame in source.decode(stream):
                time_s = float(frame.time or 0.0)
                if time_s < at_s - BEFORE_S - 1e-6:
                    continue
                if time_s > at_s + AFTER_S:
                    break
                small = frame.reformat(width=WIDTH, height=height, format="yuv420p")
                if moment is None or time_s <= at_s + 1e-6:
                    moment = small
                small.pts, small.time_base = number, 1 / rate
                number += 1
                sink.mux(target.encode(small))
            if moment is not None:
                sink.mux(target.encode(None))
    except FFmpegError:
        return None
    return None if moment is None else Clip(out.getvalue(), _jpeg(moment))


def _jpeg(frame: av.VideoFrame) -> bytes:
    out = io.BytesIO()
    frame.to_image().save(out, format="JPEG", quality=60)
    return out.getvalue()
