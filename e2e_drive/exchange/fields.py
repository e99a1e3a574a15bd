"""Values out of somebody else's JSON; what is not as it should be is told with file and place."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bev import FloatArray
from e2e_drive.errors import UserError


def read_json(path: Path, what: str) -> Any:
    """what: for whoever has to put it there."""
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {what} is needed") from error
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path}: no JSON that can be read, {what} is needed: {error}") from error


class Record:
    """A JSON object with its place in a file."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, Mapping):
            raise UserError(f"{where}: an object is needed, received {_short(values)}")
        self.values, self.where = values, where

    def any(self, field: str) -> Any:
        if field not in self.values:
            raise UserError(f"{self.where}: field {field!r} is missing; there are {', '.join(map(str, self.values))}")
        return self.values[field]

    def text(self, field: str) -> str:
        value = self.any(field)
        if not isinstance(value, str):
            raise self._wrong(field, "a text", value)
        return value

    def number(self, field: str, default: float | None = None) -> float:
        """default: for a field that is missing, null or nan; None: there must be a number."""
        value: Any = self.any(field) if default is None else self.values.get(field)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if default is not None and (value is None or (is_number and math.isnan(value))):
            return default
        if not is_number or not math.isfinite(value):
            raise self._wrong(field, "a number", value)
        return float(value)

    def numbers(self, field: str, shape: tuple[int, ...]) -> FloatArray:
        value = self.any(field)
        try:
            found = np.array(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._wrong(field, f"numbers of shape {shape}", value) from error
        if found.shape != shape or not np.isfinite(found).all():
            raise self._wrong(field, f"numbers of shape {shape}", value)
        return found

    def records(self, field: str) -> list[Record]:
        value = self.any(field)
        if not isinstance(value, list):
            raise self._wrong(field, "a list", value)
        return [Record(item, f"{self.where}: {field}[{i}]") for i, item in enumerate(value)]

    def record(self, field: str) -> Record:
        return Record(self.any(field), f"{self.where}: {field}")

    def _wrong(self, field: str, wanted: str, value: Any) -> UserError:
        return UserError(f"{self.where}: field {field!r} must be {wanted}, received {_short(value)}")


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
