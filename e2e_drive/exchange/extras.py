"""The packages of the extra `exchange`, asked for in one place."""

from __future__ import annotations

import importlib
from typing import Any

from e2e_drive.errors import UserError


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet."""
    return _extra("pyarrow"), _extra("pyarrow.parquet")


def rerun() -> Any:
    return _extra("rerun")


def _extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} is needed, which the extra `exchange` brings (pip install 'e2e-drive[exchange]'): {error}"
        ) from error
