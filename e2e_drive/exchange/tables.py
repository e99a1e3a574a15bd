"""nuScenes' tables: rows that name each other by their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from e2e_drive.errors import UserError
from e2e_drive.exchange.fields import Record, read_json

_VERSIONS = "v1.0-*"


class Row(Record):
    def rotation(self, field: str) -> Rotation:
        """Of a quaternion that is written w, x, y, z."""
        quaternion = self.numbers(field, (4,))
        if not abs(float(np.linalg.norm(quaternion)) - 1.0) < 1e-3:
            raise UserError(f"{self.where}: field {field!r} must be a unit quaternion, received {quaternion.tolist()}")
        return Rotation.from_quat(np.roll(quaternion, -1))

    def yaw(self, field: str) -> float:
        """[rad] of where the x axis points, seen from above."""
        ahead = self.rotation(field).apply([1.0, 0.0, 0.0])
        return float(np.arctan2(ahead[1], ahead[0]))


class Tables:
    """source: the folder that holds v1.0-..., or that folder itself. A table is read when it is first asked for."""

    def __init__(self, source: Path) -> None:
        if not source.is_dir():
            raise UserError(f"source={source}: no such folder; the root of nuScenes is needed")
        found = sorted(path for path in source.glob(_VERSIONS) if (path / "scene.json").is_file())
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise UserError(f"source={source}: one folder {_VERSIONS} with scene.json is needed, there are: {names}")
        self.folder = found[0]
        self._rows: dict[str, dict[str, Row]] = {}

    def rows(self, table: str) -> Iterator[Row]:
        return iter(self._table(table).values())

    def row(self, table: str, referring: Row, field: str) -> Row:
        """The row of `table` that a field of another row names."""
        token = referring.text(field)
        try:
            return self._table(table)[token]
        except KeyError:
            raise UserError(
                f"{self.folder / table}.json: there is no row {token!r}, which {referring.where} names as {field}"
            ) from None

    def _table(self, name: str) -> dict[str, Row]:
        if name not in self._rows:
            path = self.folder / f"{name}.json"
            values = read_json(path, f"nuScenes' table {name}")
            if not isinstance(values, list):
                raise UserError(f"{path}: a list of rows is needed, received {type(values).__name__}")
            rows = [Row(value, f"{path}: row {i}") for i, value in enumerate(values)]
            self._rows[name] = {row.text("token"): row for row in rows}
        return self._rows[name]
