"""The house's top floor: the driving stack, its apps, and what they record, score and show."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def config_dir() -> Path:
    """Folder of the Hydra configs: `e2e_drive/configs` of an installed distribution, `configs/` of a checkout."""
    try:
        packaged = Path(str(files("e2e_drive.configs")))
        if (packaged / "evaluate.yaml").is_file():
            return packaged
    except ModuleNotFoundError:
        pass  # a checkout that is on sys.path without having been installed
    return Path(__file__).resolve().parent.parent / "configs"
