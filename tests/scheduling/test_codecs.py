"""Codecs on any array, and what they cost on feature maps of the shipped weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev import Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from e2e_drive.stack import weights_folder
from planner import load_model, network_inputs
from scheduling.codecs import CODECS, channel_axis, codec_error, nominal_payload_bytes

shapes = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)


@settings(max_examples=100, deadline=None)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([-3.0, 0.0, 3.0]), cut=st.booleans())
def test_int4_is_off_by_a_step_at_most_and_keeps_zeros(shape, seed, offset, cut):
    rng = np.random.default_rng(seed)
    array = (rng.normal(size=shape) * rng.lognormal(0, 3) + offset).astype(np.float32)
    if cut:
        array = np.maximum(array, 0.0)
    decoded = CODECS["int4"].decode(CODECS["int4"].encode(array))
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape
    axes = tuple(i for i in range(array.ndim) if i != channel_axis(array.ndim))
    low = np.minimum(array.min(axis=axes, keepdims=True), 0.0)
    high = np.maximum(array.max(axis=axes, keepdims=True), 0.0)
    step = (high - low) / 15
    share = 0.5 if (array >= 0).all() or (array <= 0).all() else 1.0
    assert (np.abs(decoded - array) <= share * step * (1 + 1e-5) + 1e-30).all()
    assert (decoded[array == 0.0] == 0.0).all()


def test_an_empty_tensor_passes():
    for name in ("raw", "fp16", "int4"):
        decoded = CODECS[name].decode(CODECS[name].encode(np.zeros((2, 0, 3), np.float32)))
        assert decoded.shape == (2, 0, 3)


@pytest.fixture(scope="module")
def tensors():
    """Pictures with edges and gradients, and what the shipped network makes of them."""
    model = load_model(weights_folder("little"))
    model.set_rig(model.config.rig)
    rng = np.random.default_rng(0)
    pictures = {}
    for camera in model.config.rig.cameras:
        v, u = np.mgrid[0 : camera.height, 0 : camera.width]
        grey = np.where(v < 0.45 * camera.height, 170 + 0.2 * u, 90 - 0.3 * v) + rng.normal(0, 3, v.shape)
        grey[(u // 24 % 3 == 0) & (abs(v - 60) < 18)] -= 60  # dark boxes on the horizon
        pictures[camera.name] = np.clip(np.stack([grey, grey, 0.9 * grey], axis=2), 0, 255).astype(np.uint8)
    frame = SensorFrame(
        0, 0.0, pictures, model.config.rig, EgoMotion(5.0, 0.0, Pose2D(0, 0, 0)), RouteHint(Command.FOLLOW, 60.0)
    )
    with torch.inference_mode():
        values = model(network_inputs(frame) | model.first_state())
    return {name: np.asarray(value) for name, value in values.items()}


def test_coarser_codecs_are_smaller_and_cost_more_quality(tensors):
    """`e2e_drive.bench.codecs` measures the table in `scheduling.codecs` along a drive; this holds its order."""
    maps = {n: a for n, a in tensors.items() if a.dtype == np.float32 and a.nbytes > 50_000 and a.any()}
    images = {name: a for name, a in tensors.items() if a.dtype == np.uint8}
    assert len(maps) >= 5
    assert len(images) == 4
    for ladder, arrays in ((("fp16", "int8", "int4"), maps), (("jpeg", "jpeg70", "jpeg50"), images)):
        for name, array in arrays.items():
            errors = [codec_error(codec, array) for codec in ladder]
            sizes = [len(CODECS[codec].encode(array)) for codec in ladder]
            # sums over pixels, and what is remembered of them: a few cells are far larger than the rest
            worst = 0.2 if name in ("bev_lifted", "bev_memory_next") else 0.15
            assert 0.0 < errors[0] < errors[1] < errors[2] < worst, name
            assert array.nbytes > sizes[0] > sizes[1] > sizes[2], name
            prices = [CODECS[codec].quality_price_s for codec in ladder]
            assert prices == sorted(prices)
    assert max(codec_error("raw", array) for array in maps.values()) == 0.0


def test_nominal_payloads_of_feature_maps_are_of_the_right_size(tensors):
    for codec in ("fp16", "int8", "int4"):
        maps = [a for a in tensors.values() if a.dtype == np.float32 and a.ndim == 4 and a.nbytes > 50_000]
        real = sum(len(CODECS[codec].encode(array)) for array in maps)
        assert 0.5 < real / sum(nominal_payload_bytes(codec, array.nbytes) for array in maps) < 2.0


def test_codec_error_is_relative():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(1, 4, 8, 8)).astype(np.float32)
    assert codec_error("int4", array) == pytest.approx(codec_error("int4", 64.0 * array))
    assert codec_error("int8", np.zeros((1, 2, 3, 4), np.float32)) == 0.0
