"""The video of a drive, written while it goes on."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from types import TracebackType

from e2e_drive.report.dashboard import HEIGHT, WIDTH, Dashboard
from e2e_drive.report.encoder import Encoder
from e2e_drive.report.moment import Moment

_QUEUE_LENGTH = 16  # moments; the drive waits when the encoder is that far behind


class VideoWriter:
    """Draws and encodes moments on a thread of its own (drawing in OpenCV and encoding release the GIL).

    The file has its name only when it is whole: until `close` it is `NAME.part`.
    """

    def __init__(self, path: Path, fps: int) -> None:
        self.path = path
        self._encoder = Encoder(path, fps, WIDTH, HEIGHT, crf="22", preset="veryfast")
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
        self._encoder.close(keep=self._error is None)
        if self._error is not None:
            raise RuntimeError(f"writing {self.path} failed: {self._error}") from self._error

    def _work(self) -> None:
        while (moment := self._queue.get()) is not None:
            if self._error is None:  # after an error only empty the queue, so that nobody waits for us
                try:
                    self._encoder.add(self._dashboard.draw(moment))
                except Exception as error:  # whatever it is, the driving thread must hear of it
                    self._error = error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
