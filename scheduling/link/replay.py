"""A link replayed from a CSV of measurements.

Columns time_s, up_mbps, down_mbps, rtt_ms, and optionally loss (0..1, else 0) and wan_rtt_ms (edge - cloud - edge, else
that of a `LinkState`). A row holds until the next one; an uplink of 0 means no link. time_s must increase.

The forecast resamples the past of the very trace (a bootstrap of ratios): the present value times x[j + lag] / x[j] for
past moments j, all columns of one moment together, within the range seen so far. Rows after the present are never read.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scheduling.link.base import UNAVAILABLE, Floats, Integers, LinkForecast, LinkModel, LinkTrace
from scheduling.types import LinkGeometry, LinkState

REQUIRED = ("time_s", "up_mbps", "down_mbps", "rtt_ms")
OPTIONAL = {"loss": 0.0, "wan_rtt_ms": 1000.0 * LinkState.wan_rtt_s}
_RESAMPLED = ("up_mbps", "down_mbps", "rtt_ms", "wan_rtt_ms")


@dataclass(frozen=True)
class TraceConfig:
    """path: relative ones are looked for from the working directory, then beside this package's configs.
    at_end: "loop" begins again, one usual row after the last; "hold" keeps the last row. start_s: where in the trace
    a drive begins. past_s: how much of the past the forecast resamples. frame_life_s, lookahead_s: as of the radio."""

    path: str
    at_end: str = "loop"
    start_s: float = 0.0
    past_s: float = 60.0
    frame_life_s: float = 0.1
    lookahead_s: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.at_end not in ("loop", "hold"):
            raise ValueError(f"trace link: at_end must be 'loop' or 'hold', received {self.at_end!r}")
        for name in ("past_s", "frame_life_s", "lookahead_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"trace link: {name} must be positive, received {getattr(self, name)}")
        if not self.start_s >= 0:
            raise ValueError(f"trace link: start_s must not be negative, received {self.start_s}")


@dataclass(frozen=True)
class Recording:
    """Columns (n,) by name, in the units of the file."""

    columns: dict[str, Floats]

    def __post_init__(self) -> None:
        if set(self.columns) != {*REQUIRED, *OPTIONAL}:
            raise ValueError(f"a recording has columns {(*REQUIRED, *OPTIONAL)}, received {tuple(self.columns)}")

    def __len__(self) -> int:
        return len(self.columns["time_s"])


def read_trace(path: Path) -> Recording:
    """Errors name file, row (the first data row is 2, as an editor counts), column and the value received."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; a CSV with columns {', '.join(REQUIRED)} is needed")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    header = [name.strip() for name in rows[0]] if rows else []
    for name in REQUIRED:
        if header.count(name) != 1:
            raise ValueError(f"{path}: row 1: one column {name} is needed, received {','.join(header) or 'nothing'}")
    values: dict[str, list[float]] = {name: [] for name in (*REQUIRED, *OPTIONAL)}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number}: {len(header)} values are needed, received {len(row)}")
        cells = dict(zip(header, row, strict=True))
        for name, column in values.items():
            column.append(_number(path, number, name, cells[name]) if name in cells else OPTIONAL[name])
        times = values["time_s"]
        if len(times) > 1 and times[-1] <= times[-2]:
            raise ValueError(
                f"{path}: row {number}: column time_s must increase, received {times[-1]} after {times[-2]}"
            )
    if not values["time_s"]:
        raise ValueError(f"{path}: row 2: at least one row of values is needed, received none")
    return Recording({name: np.array(column) for name, column in values.items()})


def write_trace(path: Path, recording: Recording) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(recording.columns)
        writer.writerows(zip(*(column.tolist() for column in recording.columns.values()), strict=True))


def record(link: LinkModel, geometry: Sequence[LinkGeometry], period_s: float = 0.1) -> Recording:
    """What a link does on a drive, as a trace to replay."""
    rows = []
    for i, place in enumerate(geometry):
        s = link.step(place, i * period_s, period_s)
        on = 1.0 if s.available else 0.0
        rows.append(
            (i * period_s, on * s.up_bps / 1e6, on * s.down_bps / 1e6, 1e3 * s.rtt_s, s.loss, 1e3 * s.wan_rtt_s)
        )
    return Recording(dict(zip((*REQUIRED, *OPTIONAL), np.round(np.array(rows).T, 3), strict=True)))


class TraceLink(LinkModel):
    def __init__(self, recording: Recording, config: TraceConfig) -> None:
        self.config, self._columns = config, recording.columns
        times = recording.columns["time_s"]
        self._starts_s = times - times[0]
        usual_s = float(np.median(np.diff(times))) if len(times) > 1 else math.inf
        self._usual_s = usual_s
        self._period_s = float(self._starts_s[-1]) + usual_s if config.at_end == "loop" else math.inf
        self._starts = self._starts_s.tolist()
        self._states = [self._state(row) for row in range(len(times))]
        self._rng = np.random.default_rng([config.seed, 0x7ACE])
        self._begin_s: float | None = None
        self._time_s = 0.0

    @classmethod
    def configured(cls, path: str, **options: float | int | str) -> TraceLink:
        config = TraceConfig(path, **options)  # type: ignore[arg-type]
        return cls(read_trace(_found(path)), config)

    def step(self, geometry: LinkGeometry, time_s: float, delta_s: float) -> LinkState:
        if self._begin_s is None:
            self._begin_s = time_s - self.config.start_s
        self._time_s = time_s
        return self._states[self._row(self._elapsed_s())]

    def truth(self) -> LinkTrace:
        starts, states = [self._time_s], [self._states[self._row(self._elapsed_s())]]
        now_s, row, cycle = self._elapsed_s(), self._row(self._elapsed_s()), self._cycle(self._elapsed_s())
        while True:
            row += 1
            if row == len(self._starts):
                if math.isinf(self._period_s):
                    break
                row, cycle = 0, cycle + 1
            start_s = self._starts[row] + (cycle * self._period_s if cycle else 0.0)
            if start_s > now_s + self.config.lookahead_s:
                break
            if start_s > now_s:
                starts.append(self._time_s + start_s - now_s)
                states.append(self._states[row])
        return LinkTrace(tuple(starts), tuple(states))

    def forecast(self, n: int, ahead_s: float = 0.0) -> LinkForecast:
        row, rng = self._row(self._elapsed_s()), self._rng
        until_rows = (ahead_s + 0.5 * self.config.frame_life_s) / self._usual_s
        least = int(until_rows)
        known = self._known(row)
        begins, up = known[: -least - 1], self._columns["up_mbps"]
        is_on = bool(up[row] > 0.0)
        alike = np.flatnonzero((up[begins] > 0.0) == is_on)
        if len(alike) == 0:
            return LinkForecast.repeat(self._states[row], n)  # nothing like this has been seen yet
        chosen = alike[rng.integers(len(alike), size=n)]
        before, after = known[chosen], known[chosen + least + (rng.random(n) < until_rows - least)]
        up_mbps, down_mbps, rtt_ms, wan_rtt_ms = (
            self._resampled(self._columns[name], row, known, before, after) if is_on else self._columns[name][after]
            for name in _RESAMPLED
        )
        on = up_mbps > 0.0
        loss = np.where(on, self._columns["loss"][after], 1.0)
        return LinkForecast(
            1e6 * up_mbps, 1e6 * down_mbps * on, 1e-3 * rtt_ms, loss, 0, wan_rtt_s=1e-3 * wan_rtt_ms
        )  # fmt: skip

    def _known(self, row: int) -> Integers:
        """Rows of the past, oldest first, the present one last. Once the trace has begun again, all have been lived."""
        if self._cycle(self._elapsed_s()) > 0:
            return np.roll(np.arange(len(self._starts)), -row - 1)
        return np.arange(bisect_left(self._starts, self._starts[row] - self.config.past_s), row + 1)

    def _resampled(self, column: Floats, row: int, known: Integers, before: Integers, after: Integers) -> Floats:
        old, new = column[before], column[after]
        ratio = np.divide(new, old, out=np.ones_like(new), where=old > 0.0)
        positive = column[known][column[known] > 0.0]
        if len(positive) == 0:
            return new
        return np.where(new > 0.0, np.clip(column[row] * ratio, positive.min(), positive.max()), 0.0)

    def _elapsed_s(self) -> float:
        if self._begin_s is None:
            raise ValueError("trace link: step it first")
        return max(0.0, self._time_s - self._begin_s) + 1e-9  # a row's own time belongs to it, rounding or not

    def _cycle(self, elapsed_s: float) -> int:
        return 0 if math.isinf(self._period_s) else int(elapsed_s / self._period_s)

    def _row(self, elapsed_s: float) -> int:
        within_s = elapsed_s if math.isinf(self._period_s) else elapsed_s % self._period_s
        return max(0, bisect_right(self._starts, within_s) - 1)

    def _state(self, row: int) -> LinkState:
        up, down, rtt, loss, wan = (float(self._columns[name][row]) for name in (*REQUIRED[1:], *OPTIONAL))
        if up <= 0.0:
            return UNAVAILABLE
        return LinkState(1e6 * up, 1e6 * down, 1e-3 * rtt, loss, 0, wan_rtt_s=1e-3 * wan)


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    top = 1.0 if column == "loss" else math.inf
    if not math.isfinite(value) or value < 0.0 or value > top:
        wanted = "a number in [0, 1]" if column == "loss" else "a number of 0 or more"
        raise ValueError(f"{path}: row {row}: column {column} must be {wanted}, received {text!r}")
    return value


def _found(path: str) -> Path:
    """As given; else beside this package's configs, in a checkout or installed."""
    packages = Path(__file__).resolve().parents[2]
    places = (Path(path), packages / path, packages / "e2e_drive" / path)
    return next((place for place in places if place.is_file()), Path(path))
