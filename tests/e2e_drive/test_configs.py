"""Every configuration composes, with every choice of every group, and what it describes can be built."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from e2e_drive import config_dir
from e2e_drive.apps.benchmark import Benchmark
from e2e_drive.apps.expert_run import RunConfig
from e2e_drive.apps.options import build, plain, rig_of, world_of
from e2e_drive.apps.run_plan import Plan
from e2e_drive.apps.train import train_config_from
from planner import model_config_from
from planner.study import StudyConfig
from scheduling import ComputeBudget, LinkModel, Policy
from scheduling.fleet import FleetConfig

APPS = sorted(path.stem for path in config_dir().glob("*.yaml"))
NOT_OF_A_DRIVE = ("experiment", "model", "study", "fleet")
GROUPS = sorted((path.parent.name, path.stem) for path in config_dir().glob("*/*.yaml"))


def composed(app: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose(app, list(overrides))


@pytest.mark.parametrize("app", APPS)
def test_every_app_composes(app: str) -> None:
    composed(app, *(["bench=scheduler"] if app == "bench" else []))


@pytest.mark.parametrize(("group", "choice"), [pair for pair in GROUPS if pair[0] not in NOT_OF_A_DRIVE])
def test_every_choice_of_a_drive_can_be_built(group: str, choice: str) -> None:
    extra = ["routes.path=x.xml"] if (group, choice) == ("routes", "file") else []
    cfg = composed("evaluate", f"{group}={choice}", *extra)
    assert rig_of(cfg).cameras
    assert world_of(cfg, 3).seed == 3
    assert isinstance(instantiate(cfg.soc), ComputeBudget)
    assert isinstance(instantiate(cfg.edge), ComputeBudget)
    assert isinstance(instantiate(cfg.cloud), ComputeBudget)
    assert isinstance(instantiate(cfg.link), LinkModel)
    assert isinstance(instantiate(cfg.scheduler), Policy)
    assert callable(instantiate(cfg.launcher).run)
    if group == "benchmark":
        assert build("benchmark", Benchmark.from_options, plain(cfg.benchmark)).routes == cfg.benchmark.routes


@pytest.mark.parametrize(("group", "choice"), [pair for pair in GROUPS if pair[0] in ("study", "fleet")])
def test_every_choice_of_a_benchmark_can_be_built(group: str, choice: str) -> None:
    made = instantiate(composed("bench", "bench=fleet", f"{group}={choice}")[group])
    assert isinstance(made, {"study": StudyConfig, "fleet": FleetConfig}[group])


@pytest.mark.parametrize("experiment", [choice for group, choice in GROUPS if group == "experiment"])
def test_every_experiment_composes(experiment: str) -> None:
    cfg = composed("evaluate", f"experiment={experiment}", "link=fixed", "link.latency_s=2.0", "rig.blackout=true")
    assert cfg.link.latency_s == 2.0
    assert cfg.rig.blackout is True


def test_model_and_run_configurations_build() -> None:
    cfg = composed("train")
    model_config_from(plain(cfg.model), rig_of(cfg))
    assert build("run", RunConfig, plain(composed("collect").run)).frames > 0
    assert build("plan", Plan.from_options, plain(composed("collect").plan)).towns


def test_configs_lie_beside_the_packages() -> None:
    assert config_dir() == Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("path", sorted((config_dir() / "experiment/train").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_training_composes(path: Path) -> None:
    cfg = composed("train", f"experiment=train/{path.stem}")
    assert train_config_from(plain(cfg)).epochs == cfg.epochs
    assert model_config_from(plain(cfg.model), rig_of(cfg)).backbone == cfg.model.backbone
