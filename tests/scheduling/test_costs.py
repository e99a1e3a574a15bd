"""Tracing, compute budgets, codecs and their configuration files."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from scheduling import (
    CODECS,
    ComputeBudget,
    ExactPolicy,
    FixedLink,
    LinkModel,
    Policy,
    StageCost,
    TenantLoad,
    trace_stages,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def load(group: str, name: str, seed: int = 0):
    return instantiate(OmegaConf.create({"seed": seed, "it": OmegaConf.load(CONFIGS / group / f"{name}.yaml")}).it)


@dataclass(frozen=True)
class Stage:
    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Looks(nn.Module):
    """Its way depends on values, which shapes do not tell."""

    def forward(self, x):
        return (x.mean(dim=(2, 3)) if float(x.sum()) > -1 else x.amax(dim=(2, 3)),)


class Attends(nn.Module):
    """Learned queries (1, 5, 16) look at tokens (B, T, 16)."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(1, 5, 16))
        self.key_value = nn.Linear(16, 32, bias=False)

    def forward(self, tokens):
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        place = torch.arange(5).view(1, 5, 1) * 1.0  # made on the CPU, wherever the weights are
        return nn.functional.scaled_dot_product_attention(self.queries + place, key, value)


def test_costs_are_those_of_the_operators():
    convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    stages = (
        Stage("backbone", nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU()).eval(), ("image",), ("feature",)),
        Stage("head", nn.AdaptiveAvgPool2d(1), ("feature",), ("out",)),
    )
    graph = trace_stages(stages, {"image": torch.zeros(1, 3, 32, 64)}, ("out",), {"image": "feature"})
    cost = graph.stages[0].cost
    assert cost.flops == 2 * 3 * 9 * 8 * 16 * 32  # multiply-adds count as 2
    assert cost.output_bytes == {"feature": 4 * 8 * 16 * 32}
    assert cost.kernels == 1
    assert cost.bytes_moved == 4 * (3 * 32 * 64 + 3 * 9 * 8 + 8 * 16 * 32)  # in, weights, out
    assert cost.working_bytes == 4 * (3 * 32 * 64 + 8 * 16 * 32)  # the convolution holds more than the two after it
    assert cost.parameter_bytes == 4 * (3 * 9 * 8 + 2 * 8)
    assert graph.stages[1].cost.output_bytes == {"out": 32}
    assert graph.codecs["feature"] == ("int4", "int8", "fp16", "raw")
    assert graph.codecs["out"] == ("raw",)
    assert graph.states == {"image": "feature"}


def test_without_weights_and_with_them_costs_are_the_same():
    def traced() -> StageCost:
        tokens = torch.zeros(1, 7, 16, device="meta")
        return trace_stages((Stage("head", Attends(), ("tokens",), ("out",)),), {"tokens": tokens}, ()).stages[0].cost

    with torch.device("meta"):
        without = traced()
    assert without == traced()
    assert without.flops == 2 * 7 * 16 * 32 + 2 * 2 * 5 * 7 * 16  # projection, then query x key and weights x value


def test_a_camera_image_travels_as_jpeg():
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    graph = trace_stages((Stage("cast", torch.Tensor.float, ("image",), ("out",)),), {"image": image}, ("out",))
    assert graph.codecs["image"] == ("jpeg50", "jpeg70", "jpeg", "raw")
    assert graph.sources == {"image": 3 * 8 * 8}


def test_a_stage_that_looks_at_values_is_refused_not_run():
    stage = Stage("head", Looks(), ("feature",), ("out",))
    with pytest.raises(ValueError, match="'head' looks at values"):
        trace_stages((stage,), {"feature": torch.zeros(1, 4, 2, 2)}, ("out",))
    with pytest.raises(ValueError, match=r"'backbone' refuses inputs of shapes \(1, 4, 2, 2\)"):
        trace_stages((Stage("backbone", nn.Conv2d(3, 8, 3), ("x",), ("y",)),), {"x": torch.zeros(1, 4, 2, 2)}, ("y",))


def test_tracing_names_what_is_missing():
    stage = Stage("head", nn.Identity(), ("feature",), ("out",))
    with pytest.raises(ValueError, match="feature"):
        trace_stages((stage,), {}, ("out",))
    with pytest.raises(ValueError, match="nowhere"):
        trace_stages((stage,), {"feature": torch.zeros(1, 4)}, ("nowhere",))


def test_jetson_nano_reproduces_published_latencies():
    """(GFLOP, MB at fp32, kernels) as traced from the timm models, published ms: see configs/soc/jetson_nano.yaml."""
    nano = load("soc", "jetson_nano")
    rows = ((4.738, 78.4, 22, 18.0), (9.571, 132.0, 38, 30.0), (10.681, 223.1, 55, 42.0), (1.129, 112.0, 53, 15.6))
    errors = []
    for gflop, megabytes, kernels, published_ms in rows:
        cost = StageCost(gflop * 1e9, megabytes * 1e6, 0.0, {}, kernels)
        errors.append(abs(nano.alone_seconds(cost) * 1e3 / published_ms - 1.0))
    assert max(errors) < 0.12
    assert np.median(errors) < 0.06


def test_other_tenants_slow_us_down_and_depend_on_the_time_alone():
    def make() -> ComputeBudget:
        return replace(nano, name="another one")  # with its own memory of the load

    nano = load("soc", "jetson_nano", seed=4)
    times = np.arange(0.0, 400.0, 0.5)
    forwards = [make().share_other_tenants(float(t)) for t in times]
    assert [nano.share_other_tenants(float(t)) for t in times[::-1]][::-1] == forwards
    awake = np.mean(np.array(forwards) > 0.5)
    assert 0.15 < awake < 0.55  # a third of the time, by its mean times
    cost = StageCost(1e9, 1e6, 0.0, {}, 10)
    state = make().state(0.0)
    assert state.stage_seconds(cost) == pytest.approx(make().alone_seconds(cost) / 0.8)


def test_bad_budgets_are_refused_with_the_value():
    with pytest.raises(ValueError, match=r"1\.5"):
        TenantLoad(quiet_share=0.1, awake_share=1.5)
    with pytest.raises(ValueError, match="int8"):
        ComputeBudget("x", 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.0, precision="int8")


@pytest.mark.parametrize("shape", [(1, 16, 8, 12), (1, 40, 16), (1, 5), (1, 3, 1, 1)])
def test_codecs_round_trip_within_their_bounds(shape):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 3, size=(1, shape[1], *[1] * (len(shape) - 2)))).astype(
        np.float32
    )
    for name in ("raw", "fp16", "int8"):
        payload = CODECS[name].encode(values)
        back = CODECS[name].decode(payload)
        assert back.shape == values.shape
        assert back.dtype == values.dtype
        if name == "raw":
            np.testing.assert_array_equal(back, values)
        elif name == "fp16":
            assert np.all(np.abs(back - values) <= np.maximum(np.abs(values) * 2.0**-11, 2.0**-25))
        else:
            axis = 1 if values.ndim == 4 else values.ndim - 1
            others = tuple(i for i in range(values.ndim) if i != axis)
            half_step = np.abs(values).max(axis=others, keepdims=True) / 127.0 / 2.0
            assert np.all(np.abs(back - values) <= half_step * 1.0001)
        assert CODECS[name].encode(values) == payload


def test_int8_survives_zeros_and_half_saturates():
    zeros = np.zeros((1, 4, 2, 2), np.float32)
    np.testing.assert_array_equal(CODECS["int8"].decode(CODECS["int8"].encode(zeros)), zeros)
    huge = np.full((1, 4), 1e9, np.float32)
    assert np.isfinite(CODECS["fp16"].decode(CODECS["fp16"].encode(huge))).all()


def test_jpeg_keeps_a_smooth_picture_and_its_colours_apart():
    y, x = np.mgrid[0:128, 0:256]
    image = np.stack([x, y * 2, 255 - x])[None].astype(np.uint8)
    payload = CODECS["jpeg"].encode(image)
    back = CODECS["jpeg"].decode(payload)
    assert len(payload) < image.nbytes / 8
    assert np.abs(back.astype(int) - image.astype(int)).mean() < 3.0
    with pytest.raises(ValueError, match="float32"):
        CODECS["jpeg"].encode(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize(
    "path", sorted(p.relative_to(CONFIGS) for g in ("soc", "edge", "cloud") for p in (CONFIGS / g).glob("*"))
)
def test_every_computer_can_be_configured(path):
    assert isinstance(load(path.parent.name, path.stem), ComputeBudget)


def test_links_and_policies_can_be_configured():
    for path in (CONFIGS / "link").glob("*.yaml"):
        assert isinstance(load("link", path.stem), LinkModel)
    for path in (CONFIGS / "scheduler").glob("*.yaml"):
        policy = load("scheduler", path.stem)
        assert isinstance(policy, Policy)
        assert policy.name == path.stem
    assert load("link", "radio", seed=7).config.seed == 7
    assert load("link", "fixed").config == FixedLink().config.__class__(rtt_s=0.0277)
    assert load("scheduler", "exact").config == ExactPolicy().config
