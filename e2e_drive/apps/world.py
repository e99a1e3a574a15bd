"""`e2e-drive world`: the embedded world alone, on a port, until it is stopped."""

from __future__ import annotations

from omegaconf import DictConfig

from carla_bridge.embedded.__main__ import main
from e2e_drive.apps.options import whole_number


def run(cfg: DictConfig) -> int:
    port, seed = whole_number(cfg, "port", 0), whole_number(cfg, "seed", 0)
    return main(["--host", str(cfg.host), "--port", str(port), "--town", str(cfg.town), "--seed", str(seed)])
