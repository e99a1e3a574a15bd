"""Drive logs as lists of records that can be changed and written again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from e2e_drive.logs import DriveLog, read_drive
from e2e_drive.logs.about import GRAPH, RIG, RUN
from e2e_drive.logs.reader import CAMERA_PREFIX, read_metadata


@dataclass
class Record:
    topic: str
    time_s: float
    message: Any
    tick: int  # index of the /ego before it


@dataclass
class Log:
    """metadata: records by name. truth of the car and others is edited with the rest."""

    metadata: dict[str, dict[str, str]]
    records: list[Record]
    taken: list[tuple[float, float]] = field(default_factory=list)  # spans that have a fault

    @property
    def ticks(self) -> dict[int, list[Record]]:
        found: dict[int, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.tick, []).append(record)
        return found

    def of(self, topic: str, from_s: float = -np.inf, to_s: float = np.inf) -> list[Record]:
        return [r for r in self.records if r.topic.startswith(topic) and from_s <= r.time_s <= to_s]

    @property
    def cameras(self) -> list[str]:
        return list(dict.fromkeys(r.topic for r in self.records if r.topic.startswith(CAMERA_PREFIX)))


def read_log(path: Path, from_s: float = 0.0, to_s: float = np.inf) -> Log:
    """The part between two stamps, with what stands before the first tick."""
    records, tick = [], -1
    for entry in read_drive(path):
        if (tick >= 0 and not from_s <= entry.time_s <= to_s) or entry.topic.startswith("/depth"):
            continue
        tick += entry.topic == "/ego" and from_s <= entry.time_s
        if tick >= 0 or entry.topic in ("/map", "/tf") or entry.topic.startswith("/calibration"):
            records.append(Record(entry.topic, entry.time_s, entry.message, tick))
    known = {name: data for name, data in read_metadata(path, head=True).items() if name in (RUN, RIG, GRAPH)}
    return Log(known, records)


def write_log(log: Log, path: Path) -> None:
    with DriveLog(path, log.metadata.get(RUN, {})) as out:
        for name in (GRAPH, RIG):
            if name in log.metadata:
                out.add_metadata(name, log.metadata[name])
        for record in log.records:
            out.copy(record.topic, record.message, record.time_s)
