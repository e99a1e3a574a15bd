"""Set operations on polygons that do not fail: what floating point cannot sort out is repeated on a millimetre grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely

Areas: TypeAlias = "npt.NDArray[np.object_] | shapely.Geometry"

GRID_M = 1e-3


def _robust(operation: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return operation(*arguments)
    except shapely.errors.GEOSException:
        return operation(*arguments, grid_size=GRID_M)


def union(parts: npt.NDArray[np.object_] | Sequence[shapely.Geometry]) -> shapely.Geometry:
    array = np.empty(len(parts), dtype=object)
    array[:] = parts
    return _robust(shapely.union_all, array)


def minus(a: Areas, b: Areas) -> Any:
    """What b leaves of a; arrays go element by element."""
    return _robust(shapely.difference, a, b)


def common(a: Areas, b: Areas) -> Any:
    return _robust(shapely.intersection, a, b)
