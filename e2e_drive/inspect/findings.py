"""What a detector reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
import numpy.typing as npt

from bev import FloatArray


class Kind(str, Enum):
    CUT = "log cut"
    DROPOUT = "sensor dropout"
    FROZEN = "frozen or duplicated frame"
    TIME_JUMP = "time jump"
    LATENCY = "latency spike"
    FLAPPING = "schedule flapping"
    JERKY = "jerky trajectory"
    DISAGREEMENT = "model against label"
    NEAR_MISS = "near miss"


class Severity(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True)
class Trace:
    """The number that gave it away, over time. limit: what it should not pass. levels: names of the values 0, 1, ...,
    where they are no amounts."""

    label: str
    times_s: FloatArray
    values: FloatArray
    limit: float | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outline:
    """Something seen from above: (N, 2) in an ego frame. role: car | other | plan | before | reference."""

    role: str
    points: FloatArray


@dataclass(frozen=True)
class Photo:
    """A picture of the log: of `camera`, the last one at or before `time_s`."""

    camera: str
    time_s: float


@dataclass(frozen=True)
class Finding:
    """subject: what it is about (cameras, an actor), empty: the drive. evidence: a sentence with numbers and units.
    peak_s: the worst moment."""

    kind: Kind
    from_s: float
    to_s: float
    severity: Severity
    evidence: str
    subject: str = ""
    peak_s: float = 0.0
    trace: Trace | None = None
    photos: tuple[Photo, ...] = ()
    above: tuple[Outline, ...] = ()


def severity_of(value: float, medium: float, high: float) -> Severity:
    """How far `value` goes: below `medium` it is low."""
    return Severity(1 + int(value >= medium) + int(value >= high))


def groups(
    flags: Sequence[bool] | npt.NDArray[np.bool_], times_s: FloatArray, join_s: float
) -> list[npt.NDArray[np.intp]]:
    """Indices of what is flagged, split where more than `join_s` lie between one and the next."""
    found = np.flatnonzero(flags)
    if len(found) == 0:
        return []
    return np.split(found, np.flatnonzero(np.diff(times_s[found]) > join_s) + 1)
