"""`e2e-drive policy`: serves the driving stack to an AlpaSim runtime until it is stopped. Needs the extra `alpasim`."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from omegaconf import DictConfig

from e2e_drive.apps.options import plain, rig_of, whole_number
from e2e_drive.errors import UserError

_MODES = ("alpasim", "carla")


def run(cfg: DictConfig) -> int:
    if importlib.util.find_spec("carla_driver_interface") is None:
        raise UserError("needs the extra `alpasim`: pip install 'e2e-drive[alpasim]'")
    if cfg.mode not in _MODES:
        raise UserError(f"mode must be one of {', '.join(_MODES)}, received {cfg.mode!r}")
    port = whole_number(cfg, "port", 0)
    server: Any = importlib.import_module("carla_driver_interface.server")
    service = importlib.import_module("e2e_drive.faces.policy_service")
    faces = importlib.import_module("e2e_drive.faces.setup")
    names = rig_of(cfg).names
    ids = {str(name): str(logical) for name, logical in plain(cfg.camera_ids).items()}
    if unknown := sorted(set(ids) - set(names)):
        raise UserError(f"camera_ids: {unknown} are not cameras of the rig, which has {list(names)}")
    faces.make_stack(cfg)  # whatever is wrong with the configuration is told now, not to the first session
    policy = service.StackPolicy(cfg, ids)
    print(f"policy on {cfg.host}:{port} for {cfg.mode} runtimes; Ctrl-C ends it", flush=True)
    try:
        server.run_server(
            policy, port=port, host=str(cfg.host), max_workers=whole_number(cfg, "workers", 1), mode=cfg.mode
        )
    except RuntimeError as error:  # the address is taken, or no address
        raise UserError(f"{error}") from error
    return 0
