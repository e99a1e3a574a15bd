"""Figures of the policies benchmark (extra `bench`: matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from e2e_drive.errors import UserError
from scheduling.simulation import Drive, Frames
from scheduling.types import ModelVariant, Place


def policies_figure(rows: Sequence[dict[str, Any]], out: Path) -> None:
    pass


def placement_figure(frames: Frames, drive: Drive, models: tuple[ModelVariant, ...], title: str, out: Path) -> None:
    pass
