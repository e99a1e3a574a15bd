"""H.264 in MP4 with the index in front: what every browser plays, written while the drive goes on."""

from __future__ import annotations

import queue
import threading
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from e2e_drive.report.dashboard import HEIGHT, WIDTH, Dashboard
from e2e_drive.report.moment import Moment

_QUEUE_LENGTH = 16  # moments; the drive waits when the encoder is that far behind


class VideoWriter:
    """Draws and encodes moments on a thread of its own (drawing in OpenCV and encoding release the GIL).

    The file has its name only when it is whole: until `close` it is `NAME.part`.
    """

    def __init__(self, path: Path, fps: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part = path.with_name(path.name + ".part")
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream("libx264", rate=fps, options={"crf": "22", "preset": "veryfast"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._stream.codec_context.thread_count = 1  # the world needs the other cores
        self._dashboard = Dashboard()
        self._queue: queue.Queue[Moment | None] = queue.Queue(_QUEUE_LENGTH)
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="video", daemon=True)
        self._thread.start()

    def add(self, moment: Moment) -> None:
        if self._error is not None:
            raise RuntimeError(f"writing {self.path} failed: {self._error}") from self._error
        self._queue.put(moment)

    def close(self) -> None:
        """Finishes the file and gives it its name."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._container.close()
        if self._error is not None:
            raise RuntimeError(f"writing {self.path} failed: {self._error}") from self._error
        self._part.replace(self.path)

    def _work(self) -> None:
        while (moment := self._queue.get()) is not None:
            if self._error is None:  # after an error only empty the queue, so that nobody waits for us
                try:
                    self._encode(moment)
                except Exception as error:  # whatever it is, the driving thread must hear of it
                    self._error = error
        if self._error is None:
            self._container.mux(self._stream.encode(None))

    def _encode(self, moment: Moment) -> None:
        frame = av.VideoFrame.from_ndarray(self._dashboard.draw(moment), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
