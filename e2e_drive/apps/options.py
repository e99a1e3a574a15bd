"""Configuration groups -> our own types; what cannot be is told as a `UserError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf

from bev import CameraRig, rig_from_config
from carla_bridge.session import WorldConfig
from e2e_drive.errors import UserError

T = TypeVar("T")


def plain(node: DictConfig | ListConfig) -> Any:
    """A group as plain dicts and lists, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True)


def build(what: str, make: Callable[..., T], options: dict[str, Any]) -> T:
    """make(**options); unknown keys and impossible values become one line that names the group."""
    try:
        return make(**options)
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise UserError(f"{what}: {error}") from error


def rig_of(cfg: DictConfig) -> CameraRig:
    return build("rig", rig_from_config, {"cameras": plain(cfg.rig.cameras)})


def world_of(cfg: DictConfig, seed: int) -> WorldConfig:
    return build("world", WorldConfig, {**plain(cfg.world), "seed": seed})


def whole_number(cfg: DictConfig, key: str, at_least: int) -> int:
    value = OmegaConf.select(cfg, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise UserError(f"{key} must be a whole number of at least {at_least}, received {value!r}")
    return value
