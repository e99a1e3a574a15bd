"""sensor.camera.dvs: a camera that reports changes of brightness, pixel by pixel, and nothing else.

Between two pictures the logarithm of a pixel's brightness is taken to run straight; every time it has changed by the
threshold there is an event, at the moment of crossing (Rebecq, Gehrig and Scaramuzza, "ESIM: an open event camera
simulator", CoRL 2018). The noise of the thresholds (sigma_*_threshold) is not simulated.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded.actors import Actor

# x, y [px], time [ns], polarity: what the client reads, without padding
EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("pol", "u1")])
MOST_EVENTS_A_PIXEL = 64  # in one picture


@dataclass(frozen=True)
class EventSettings:
    positive: float = 0.3  # change of brightness (its logarithm, with use_log) that makes an event
    negative: float = 0.3
    refractory_ns: int = 0
    use_log: bool = True
    log_eps: float = 0.001

    @staticmethod
    def of(actor: Actor) -> EventSettings:
        return EventSettings(
            positive=max(float(actor.attribute("positive_threshold", "0.3")), 1e-3),
            negative=max(float(actor.attribute("negative_threshold", "0.3")), 1e-3),
            refractory_ns=int(float(actor.attribute("refractory_period_ns", "0"))),
            use_log=actor.attribute("use_log", "true").lower() == "true",
            log_eps=max(float(actor.attribute("log_eps", "0.001")), 1e-6),
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(
    before: npt.NDArray[np.float64],
    now: npt.NDArray[np.float64],
    level: npt.NDArray[np.float64],
    last_ns: npt.NDArray[np.int64],
    start_ns: int,
    end_ns: int,
    positive: float,
    negative: float,
    refractory_ns: int,
    columns: npt.NDArray[np.uint16],
    rows: npt.NDArray[np.uint16],
    times: npt.NDArray[np.int64],
    signs: npt.NDArray[np.uint8],
) -> int:
    """Write the events of all pixels, and return how many there are; `level` is where each pixel last crossed."""
    used = 0
    height, width = now.shape
    for row in range(height):
        for column in range(width):
            a, b = before[row, column], now[row, column]
            if a == b:
                continue
            step = positive if b > a else -negative
            for _ in range(MOST_EVENTS_A_PIXEL):
                crossing = level[row, column] + step
                if (step > 0.0 and not a < crossing <= b) or (step < 0.0 and not b <= crossing < a):
                    break
                level[row, column] = crossing
                moment = start_ns + int((crossing - a) / (b - a) * (end_ns - start_ns))
                if moment - last_ns[row, column] < refractory_ns or used == len(times):
                    continue
                last_ns[row, column] = moment
                columns[used], rows[used], times[used], signs[used] = column, row, moment, step > 0.0
                used += 1
    return used


class EventMemory:
    """What a camera remembers from picture to picture."""

    def __init__(self, settings: EventSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._time_ns = -1
        self._before = self._level = np.zeros((0, 0))
        self._last_ns = np.zeros((0, 0), np.int64)

    def events(self, bgra: npt.NDArray[np.uint8], timestamp_s: float) -> npt.NDArray[np.void]:
        """(N,) of EVENT since the picture before, in order of time; none for the first."""
        settings = self._settings
        brightness = bgra[..., :3].astype(np.float64) @ (0.114, 0.587, 0.299) / 255.0  # ITU-R BT.601
        now = np.log(settings.log_eps + brightness) if settings.use_log else brightness
        time_ns = round(timestamp_s * 1e9)
        with self._lock:
            if self._time_ns < 0 or self._before.shape != now.shape:
                self._level, self._last_ns = now.copy(), np.full(now.shape, -(2**62), np.int64)
                found = np.zeros(0, EVENT)
            else:
                found = self._between(now, time_ns)
            self._before, self._time_ns = now, time_ns
        return found

    def _between(self, now: npt.NDArray[np.float64], time_ns: int) -> npt.NDArray[np.void]:
        settings = self._settings
        change = np.abs(now - self._level)
        room = int((change / min(settings.positive, settings.negative)).clip(0, MOST_EVENTS_A_PIXEL).sum()) + now.size
        columns, rows = np.empty(room, np.uint16), np.empty(room, np.uint16)
        times, signs = np.empty(room, np.int64), np.empty(room, np.uint8)
        count = _cross(
            self._before,
            now,
            self._level,
            self._last_ns,
            self._time_ns,
            time_ns,
            settings.positive,
            settings.negative,
            settings.refractory_ns,
            columns,
            rows,
            times,
            signs,
        )
        order = np.argsort(times[:count], kind="stable")
        found = np.empty(count, EVENT)
        found["x"], found["y"], found["t"], found["pol"] = (part[order] for part in (columns, rows, times, signs))
        return found
