"""nuScenes' boxes, which are given at key frames, at any moment between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bev import FloatArray, Pose2D
from carla_bridge.convert import wrap_angle
from e2e_drive.exchange.tables import Row, Tables
from e2e_drive.logs import RoadUser

# nuScenes' categories -> what our type ids begin with; "vehicle.car" is one already, everything else just stands there
_KINDS = {"vehicle": "vehicle", "human": "walker"}


@dataclass(frozen=True)
class _Box:
    actor_id: int
    type_id: str
    centre: FloatArray  # (3,)
    yaw: float
    size: tuple[float, float, float]  # length, width, height


class Annotations:
    """samples: token of each key frame -> its time [s]."""

    def __init__(self, tables: Tables, samples: Mapping[str, float]) -> None:
        self._times = sorted(samples.values())
        self._boxes: dict[float, dict[int, _Box]] = {time_s: {} for time_s in self._times}
        numbers: dict[str, int] = {}
        for row in tables.rows("sample_annotation"):
            time_s = samples.get(row.text("sample_token"))
            if time_s is not None:
                number = numbers.setdefault(row.text("instance_token"), len(numbers) + 1)
                self._boxes[time_s][number] = _box(tables, row, number)

    def users(self, time_s: float, tolerance_s: float) -> tuple[RoadUser, ...]:
        """Who is known of at the key frames before and after; who is known of at one alone is there at that moment,
        give or take the tolerance."""
        after = bisect_right(self._times, time_s)
        around = self._times[max(0, after - 1) : after + 1]
        known = [self._boxes[moment] for moment in around]
        found = []
        for number in sorted({number for boxes in known for number in boxes}):
            boxes = [(moment, at[number]) for moment, at in zip(around, known, strict=True) if number in at]
            if len(boxes) == 2:
                found.append(_between(boxes[0], boxes[1], time_s))
            elif abs(boxes[0][0] - time_s) <= tolerance_s:
                found.append(_user(boxes[0][1]))
        return tuple(found)


def _box(tables: Tables, row: Row, number: int) -> _Box:
    category = tables.row("category", tables.row("instance", row, "instance_token"), "category_token").text("name")
    kind, _, rest = category.partition(".")
    type_id = f"{_KINDS[kind]}.{rest}" if kind in _KINDS else f"static.{category}"
    width, length, height = row.numbers("size", (3,)).tolist()
    return _Box(number, type_id, row.numbers("translation", (3,)), row.yaw("rotation"), (length, width, height))


def _between(before: tuple[float, _Box], after: tuple[float, _Box], time_s: float) -> RoadUser:
    (begin_s, old), (end_s, new) = before, after
    share = (time_s - begin_s) / (end_s - begin_s)
    turn = wrap_angle(new.yaw - old.yaw)
    centre = old.centre + share * (new.centre - old.centre)
    return _user(_Box(old.actor_id, old.type_id, centre, wrap_angle(old.yaw + share * turn), new.size))


def _user(box: _Box) -> RoadUser:
    x, y, z = np.asarray(box.centre).tolist()
    return RoadUser(box.actor_id, box.type_id, Pose2D(x, y, box.yaw), z, *box.size)
