"""What the codecs do to real tensors: pictures and feature maps of the shipped weights along a drive.

The privileged expert drives, so that the tensors do not depend on what a codec would have done to the driving. Sizes
are relative to the raw tensor; speeds are bytes of raw tensor a second on one core of this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from bev import SensorFrame
from carla_bridge.session import Session
from e2e_drive.apps.drivers import ExpertDriver
from e2e_drive.apps.evaluate import CAMERA_PERIOD_S, choose_route
from e2e_drive.apps.options import rig_of, world_of
from e2e_drive.stack import weights_folder
from planner import DrivingModel, load_model, network_inputs
from scheduling import CODECS
from scheduling.codecs import AnyArray, codec_error

_FLOAT_CODECS = ("fp16", "int8", "int4")
_IMAGE_CODECS = ("jpeg", "jpeg70", "jpeg50")
_SMALL_BYTES = 1024  # no codec but raw is ever offered for tensors below this


def run(cfg: DictConfig, frames: int = 20, every: int = 20) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": one a tensor and codec}. cfg: a composed configuration of `evaluate`. Looks at
    so many frames, one in `every` of those with pictures."""
    model = load_model(weights_folder(str(cfg.weights)))
    model.set_rig(rig_of(cfg))
    seen: dict[tuple[str, str], list[dict[str, float]]] = {}
    for frame in _drive(cfg, frames, every):
        for name, array in _tensors(model, frame).items():
            for codec in _IMAGE_CODECS if array.dtype == np.uint8 else _FLOAT_CODECS:
                seen.setdefault((name, codec), []).append(_measure(codec, array))
    rows: list[dict[str, Any]] = [
        {"tensor": name, "codec": codec, **{key: statistics.median(x[key] for x in found) for key in found[0]}}
        for (name, codec), found in seen.items()
    ]
    metrics = {
        f"{key}_{codec}": statistics.median(row[key] for row in rows if row["codec"] == codec)
        for codec in (*_IMAGE_CODECS, *_FLOAT_CODECS)
        for key in ("ratio", "error", "encode_bytes_per_s", "decode_bytes_per_s")
    }
    return {"metrics": metrics, "rows": rows}


def _drive(cfg: DictConfig, frames: int, every: int) -> list[SensorFrame]:
    found: list[SensorFrame] = []
    world = world_of(cfg, int(cfg.seed))
    with (
        Session(world, rig_of(cfg), blackout=False, camera_period_s=CAMERA_PERIOD_S) as session,
        tqdm(total=frames, desc="frames", leave=False) if frames > 1 else nullcontext() as bar,
    ):
        frame = session.start(choose_route(cfg, session), cars=int(cfg.cars), seed=int(cfg.seed))
        driver, pictures = ExpertDriver(session), 0
        while len(found) < frames:
            if frame.images is not None:
                pictures += 1
                if pictures % every == 0:
                    found.append(frame)
                    if bar is not None:
                        bar.update()
            session.apply(driver.step(frame))
            frame = session.tick()
    return found


def _tensors(model: DrivingModel, frame: SensorFrame) -> dict[str, AnyArray]:
    """Every tensor of the network that a codec may carry, by name."""
    with torch.inference_mode():
        values = model(network_inputs(frame) | model.first_state())
    arrays = {name: np.asarray(value) for name, value in values.items()}
    return {name: array for name, array in arrays.items() if array.nbytes > _SMALL_BYTES}


def _measure(codec: str, array: AnyArray) -> dict[str, float]:
    payload = CODECS[codec].encode(array)
    return {
        "ratio": len(payload) / array.nbytes,
        "error": codec_error(codec, array),
        "encode_bytes_per_s": array.nbytes / _seconds(lambda: CODECS[codec].encode(array)),
        "decode_bytes_per_s": array.nbytes / _seconds(lambda: CODECS[codec].decode(payload)),
    }


def _seconds(work: Callable[[], object]) -> float:
    """The shortest of five tries: what the work takes when nobody disturbs it."""
    tries = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        tries.append(time.perf_counter() - began)
    return min(tries)
