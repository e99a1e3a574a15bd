"""Study models: their stages, their published sizes, and that what is traced is what would run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bev import run_stages
from e2e_drive.study import study_graph
from planner.study import StudyConfig, study_stages
from scheduling import StageGraph

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "study"
PRESETS = ("little", "base", "big", "giant")


def preset(name: str) -> StudyConfig:
    return instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml"))


def gflop(graph: StageGraph, stage: str) -> float:
    return sum(node.cost.flops for node in graph.stages if node.name.startswith(stage)) / 1e9


def parameters(graph: StageGraph, stage: str) -> float:
    return next(node.cost.parameter_bytes for node in graph.stages if node.name.startswith(stage)) / 4.0


def test_every_preset_is_there():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(PRESETS)


@pytest.mark.parametrize(("name", "stages"), [("little", 12), ("base", 20), ("big", 20), ("giant", 20)])
def test_presets_have_the_stages_of_the_architecture(name: str, stages: int):
    graph = study_graph(preset(name))
    assert len(graph.stages) == stages
    assert graph.states == {"bev_memory": "bev_memory_next"}
    assert graph.sinks == ("trajectory",)
    explained = {tensor for node in graph.stages for tensor in node.inputs}
    assert "explanation" not in explained  # hangs off the critical path
    for tensor, size in graph.sources.items():
        assert size < 1024 or len(graph.codecs[tensor]) == 4
    for node in graph.stages:
        assert node.cost.flops > 0
        assert node.cost.working_bytes >= max(node.cost.output_bytes.values())
        for tensor, size in node.cost.output_bytes.items():
            assert size <= 1024 or len(graph.codecs[tensor]) == 4


def test_traced_sizes_are_the_published_ones():
    """ResNet-50 on 6 x 256 x 704: about 177 GFLOP. ViT-L/16: 304 M parameters at 224 x 224 (Dosovitskiy et al.,
    arXiv 2010.11929, round them to 307 M), of which the position of 4000 instead of 197 tokens makes 3.9 M more."""
    base = study_graph(preset("base"))
    assert gflop(base, "image_backbone") == pytest.approx(177.0, rel=0.02)
    assert parameters(base, "image_backbone") == pytest.approx(23.5e6, rel=0.01)  # 25.6 M less the classifier's 2.05 M
    giant = study_graph(preset("giant"))
    assert parameters(giant, "image_backbone") == pytest.approx(307e6, rel=0.01)
    assert parameters(giant, "trajectory_decoder") > 1e9


def test_what_is_traced_is_what_runs():
    config = replace(preset("little"), cameras=2)
    study = study_stages(config, device="cpu")
    tensors = dict(study.sources)
    with torch.no_grad():
        tensors = run_stages(study.stages, tensors)
    for node in study_graph(config).stages:
        for tensor, size in node.cost.output_bytes.items():
            assert tensors[tensor].numel() * tensors[tensor].element_size() == size
            assert torch.isfinite(tensors[tensor].float()).all()
    assert tensors["trajectory"].shape == (1, 12, 2)
    assert tensors["bev_memory_next"].shape == study.sources["bev_memory"].shape


def test_stages_can_be_measured_where_they_run():
    from e2e_drive.bench.device import measure

    budget = instantiate(OmegaConf.load(CONFIGS.parent / "soc" / "agx_orin.yaml"))
    config = replace(preset("little"), cameras=2)
    rows = measure(config, "cpu", "fp32", runs=1, budget=budget)
    assert [row["what"] for row in rows] == [node.name for node in study_graph(config).stages]
    assert all(row["measured_ms"] > 0 and row["predicted_ms"] > 0 for row in rows)
    with pytest.raises(ValueError, match="int8"):
        measure(config, "cpu", "int8")


@pytest.mark.parametrize(
    ("more", "stage"),
    [
        ({"memory_frames": 2}, "bev_encoder"),
        ({"encoder_layers": 3}, "bev_encoder"),
        ({"encoder": "convolution", "encoder_layers": 3}, "bev_encoder"),
        ({"decoder_layers": 4}, "trajectory_decoder"),
        ({"optimiser_iterations": 6}, "trajectory_optimiser"),
        ({"explainer_width": 256}, "explainer"),
        ({"height": 256}, "image_backbone"),
    ],
)
def test_more_of_anything_costs_more(more: dict, stage: str):
    little = preset("little")
    fewer = replace(little, encoder=more.get("encoder", little.encoder))
    before, after = (
        next(n for n in study_graph(c).stages if n.name.startswith(stage)) for c in (fewer, replace(little, **more))
    )
    assert after.cost.flops > before.cost.flops
    assert after.cost.bytes_moved > before.cost.bytes_moved


def test_bad_values_are_told_in_one_line():
    for values, told in (
        ({"encoder": "recurrent"}, "transformer, convolution"),
        ({"height": 250}, "250"),
        ({"bev_rows": 126}, "126"),
        ({"cameras": 0}, "cameras"),
        ({"agents": 10**6}, "agents"),
    ):
        with pytest.raises(ValueError, match=told):
            StudyConfig(**values)
    with pytest.raises(ValueError, match="nonesuch"):
        study_stages(StudyConfig(backbone="nonesuch"))
