"""The house's top floor: the driving stack, its apps, and what they record, score and show."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """Folder of the Hydra configs: inside the package of an installed wheel, beside it in a checkout."""
    packaged = Path(__file__).resolve().parent / "configs"
    return packaged if packaged.is_dir() else packaged.parent.parent / "configs"
