"""`e2e-drive import format=bench2drive|nuscenes source=...`: somebody else's drive as a log of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from e2e_drive.apps.options import plain, rig_of, whole_number
from e2e_drive.errors import UserError
from e2e_drive.exchange import ForeignDrive, View, own_views, views_of_rig, write_log
from e2e_drive.exchange.bench2drive import open_bench2drive
from e2e_drive.exchange.nuscenes import open_nuscenes
from e2e_drive.logs.about import git_revision
from e2e_drive.logs.pictures import JPEG, PNG
from e2e_drive.report.files import LOG

# of our configuration: what replay takes over when it is given nothing else
_OF_A_DRIVE = ("soc", "edge", "cloud", "link", "scheduler", "deadline", "seed", "weights", "threads")
_FORMATS = ("bench2drive", "nuscenes")


def run(cfg: DictConfig) -> int:
    if cfg.images not in (PNG, JPEG):
        raise UserError(f"images must be {PNG} or {JPEG}, received {cfg.images!r}")
    quality = whole_number(cfg, "jpeg_quality", 1)
    drive = _open(cfg)
    views = _views(cfg, drive)
    values = plain(cfg)
    config = OmegaConf.create({name: values[name] for name in _OF_A_DRIVE})
    about = {"config": OmegaConf.to_yaml(config), "revision": git_revision()}
    path = Path(cfg.out) / LOG
    with tqdm(total=drive.count, unit="frame", desc="import", dynamic_ncols=True, leave=False, disable=None) as bar:
        count = write_log(drive, views, path, about, str(cfg.images), quality, lambda: bar.update(1))
    for line in _said(drive, views):
        print(line)
    print(f"{path}: {count} ticks, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _open(cfg: DictConfig) -> ForeignDrive:
    if cfg.format not in _FORMATS:
        raise UserError(f"format must be one of {', '.join(_FORMATS)}, received {cfg.format!r}")
    source = Path(str(cfg.source))
    if cfg.format == "nuscenes":
        return open_nuscenes(source, None if cfg.scene is None else str(cfg.scene), _number(cfg, "ahead_m", 0.0, 5.0))
    if cfg.scene is not None:
        raise UserError(f"scene={cfg.scene} is for format=nuscenes; source names one clip of Bench2Drive")
    return open_bench2drive(source)


def _views(cfg: DictConfig, drive: ForeignDrive) -> Sequence[View]:
    if OmegaConf.select(cfg, "rig") is None:
        if cfg.cameras is not None:
            raise UserError("cameras=... says which of their cameras make those of a rig: name it too, as rig=quad")
        return own_views(drive.cameras)
    mapping = {} if cfg.cameras is None else plain(cfg.cameras)
    if not isinstance(mapping, dict) or not all(isinstance(names, list) for names in mapping.values()):
        raise UserError(f"cameras must be as {{tele: [CAM_FRONT]}}, ours: theirs, received {mapping!r}")
    return views_of_rig(rig_of(cfg), drive.cameras, mapping, _number(cfg, "least_seen", 0.0, 1.0))


def _said(drive: ForeignDrive, views: Sequence[View]) -> list[str]:
    lines = [f"{name}: no pictures in {drive.source}, left out" for name in drive.blind]
    if any(view.sources != (view.camera.name,) for view in views):
        lines += [
            f"{view.camera.name}: {100 * view.seen_share:.0f} % seen by {', '.join(view.sources)}" for view in views
        ]
    return lines


def _number(cfg: DictConfig, key: str, low: float, high: float) -> float:
    value: Any = cfg[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UserError(f"{key} must be a number in [{low:g}, {high:g}], received {value!r}")
    return float(value)
