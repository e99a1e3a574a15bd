"""H.264 in MP4 with the index in front: what every browser plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.video.frame import PictureType

from bev import ImageArray


class Encoder:
    """The file has its name only when it is whole: until `close` it is `NAME.part`."""

    def __init__(self, path: Path, fps: int, width: int, height: int, **options: str) -> None:
        """width, height: even. options: of libx264."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part = path.with_name(path.name + ".part")
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream("libx264", rate=fps, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._stream.codec_context.thread_count = 1  # the world needs the other cores
        self._closed = False

    def add(self, picture: ImageArray, key: bool = False) -> None:
        """(H, W, 3) RGB. key: a player can begin here."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        if key:
            frame.pict_type = PictureType.I
        self._container.mux(self._stream.encode(frame))

    def close(self, keep: bool = True) -> None:
        """Finishes the file, if there is a picture, and gives it its name; keep=False: leaves it as it is."""
        if self._closed:
            return
        self._closed = True
        if keep:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if keep and self._part.exists():  # made with the first packet
            self._part.replace(self.path)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close(keep=kind is None)
