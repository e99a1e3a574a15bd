"""`e2e-drive world`: the embedded world alone, on a port, until it is stopped; `world gallery`: its pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
from omegaconf import DictConfig

from carla_bridge.embedded.__main__ import main
from carla_bridge.embedded.towns import TOWN_NAMES
from carla_bridge.gallery import photograph_town
from e2e_drive.apps.options import whole_number
from e2e_drive.errors import UserError
from e2e_drive.report.contact_sheet import Row, contact_sheet

ACTIONS = ("serve", "gallery")


def run(cfg: DictConfig) -> int:
    if cfg.action == "gallery":
        return _gallery(cfg)
    if cfg.action != "serve":
        raise UserError(f"action={cfg.action}: known actions are {', '.join(ACTIONS)}")
    port, seed = whole_number(cfg, "port", 0), whole_number(cfg, "seed", 0)
    options = ["--host", str(cfg.host), "--port", str(port), "--town", str(cfg.town), "--seed", str(seed)]
    return main(options if cfg.opendrive is None else [*options, "--opendrive", str(cfg.opendrive)])


def _gallery(cfg: DictConfig) -> int:
    """Every town in several weathers and through every sensor, on one sheet."""
    width, height = whole_number(cfg.gallery, "width", 32), whole_number(cfg.gallery, "height", 32)
    seed = whole_number(cfg, "seed", 0)
    rows = []
    for town in TOWN_NAMES:
        print(f"{town} ...", flush=True)
        found = photograph_town(town, seed, width, height)
        rows += [Row(found.weathers, town), Row(found.sensors)]
    subtitle = "every picture taken by the carla 0.9.16 client over its own wire protocol, rendered on the CPU"
    sheet = contact_sheet("The embedded world: towns, weathers, sensors", subtitle, rows)
    path = Path(cfg.gallery.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), sheet[:, :, ::-1]):
        raise UserError(f"gallery.out={path}: no picture format is known by this name; .png and .jpg are")
    print(path)
    return 0
