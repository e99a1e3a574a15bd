"""Which drives a benchmark consists of, when one counts as done, and what many of them come to."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from e2e_drive.apps.benchmark import Benchmark, drives_of, routes_file, towns_of_routes
from e2e_drive.errors import UserError
from e2e_drive.launch import Job
from e2e_drive.scores import RouteRecord, results_json
from e2e_drive.scores.summary import summarise

UNSEEN = "thornby_unseen.xml"


def test_the_shipped_benchmark_has_twenty_routes() -> None:
    towns = towns_of_routes(routes_file(UNSEEN))
    assert len(towns) == 20
    assert set(towns.values()) == {"Thornby"}


def test_drives_get_what_the_user_asked_for_but_their_own_route_and_seed(tmp_path: Path) -> None:
    benchmark = Benchmark(UNSEEN, ids=("thornby_03", "thornby_07"), seeds=(0, 5))
    asked = [
        "benchmark=thornby",
        "benchmark.workers=1",
        "out=here",
        "seed=9",
        "link=off",
        "world.town=Gridley",
        "cars=3",
    ]
    drives = drives_of(benchmark, tmp_path, asked)
    assert [drive.job.folder.name for drive in drives] == [
        "thornby_03-seed0", "thornby_07-seed0", "thornby_03-seed5", "thornby_07-seed5"
    ]  # fmt: skip
    words = drives[3].job.overrides
    assert words[:2] == ("link=off", "cars=3")
    assert {"world.town=Thornby", "routes.id=thornby_07", "seed=5"} <= set(words)
    assert not any(word.startswith(("benchmark", "out=")) or word in ("seed=9", "world.town=Gridley") for word in words)
    with pytest.raises(UserError, match="thornby_99"):
        drives_of(Benchmark(UNSEEN, ids=("thornby_99",)), tmp_path, [])
    with pytest.raises(UserError, match=r"nowhere\.xml"):
        drives_of(Benchmark("nowhere.xml"), tmp_path, [])


def test_towns_are_those_of_the_routes_and_options_give_way_to_the_users(tmp_path: Path) -> None:
    routes = tmp_path / "routes.xml"
    routes.write_text('<routes><route id="a" town="Gridley" /><route id="b" town="Ringwood" /></routes>')
    benchmark = Benchmark(str(routes), options=("cars=8", "rules=bench2drive"))
    drives = drives_of(benchmark, tmp_path, ["cars=3"])
    assert [word for drive in drives for word in drive.job.overrides if word.startswith("world.town")] == [
        "world.town=Gridley",
        "world.town=Ringwood",
    ]
    assert drives[0].job.overrides[:2] == ("rules=bench2drive", "cars=3")
    routes.write_text('<routes><route id="a" town="Gridley" /><route id="a" town="Ringwood" /></routes>')
    with pytest.raises(UserError, match="distinct"):
        drives_of(benchmark, tmp_path, [])


@pytest.mark.parametrize(("name", "each"), [("dev", 1), ("test", 4)])
def test_the_shipped_scenario_benchmarks_hold_every_type(name: str, each: int) -> None:
    file = routes_file(f"scenarios_{name}.xml")
    towns = towns_of_routes(file)
    kinds = Counter(route.rsplit("_", 2)[0] for route in towns)
    assert len(kinds) >= 16
    assert set(kinds.values()) == {each}
    assert ("Thornby" in towns.values()) == (name == "test")


def job_of(folder: Path, link: str) -> Job:
    (drive,) = drives_of(Benchmark(UNSEEN, ids=("thornby_03",)), folder, [f"link={link}"])
    return drive.job


def finish(job: Job, crash: str | None = None) -> None:
    """As a drive's process leaves its folder."""
    record = RouteRecord(0, "thornby_03", 300.0, 60.0, 80.0, {}, crash=crash)
    (job.folder / "results.json").write_text(json.dumps(results_json([record], 1, ())))
    (job.folder / "run.json").write_text("{}")


def test_only_results_of_the_very_same_drive_count(tmp_path: Path) -> None:
    job = job_of(tmp_path, "off")
    assert not job.is_done()
    job.begin()
    assert not job.is_done()
    finish(job, crash="Interrupted")  # cut off after all: it wrote what it had
    assert not job.is_done()
    finish(job)
    assert job.is_done()
    assert not job_of(tmp_path, "urban").is_done()
    assert not replace(job, weights_sha256="other weights").is_done()
    (job.folder / "run.json").unlink()  # killed between two files
    assert not job.is_done()


def test_a_sweep_drives_every_combination_and_gives_way_to_the_user(tmp_path: Path) -> None:
    sweep = {"scheduler": ["exact", "oracle"], "link": ["good", "off"]}
    benchmark = Benchmark.from_options(routes=UNSEEN, ids=["thornby_03"], seeds=[0, 1], sweep=sweep)
    drives = drives_of(benchmark, tmp_path, [])
    assert [drive.setting for drive in drives[:4]] == [
        ("exact", "good"), ("exact", "off"), ("oracle", "good"), ("oracle", "off")
    ]  # fmt: skip
    assert len(drives) == 8
    assert drives[3].job.folder == tmp_path / "oracle/off/thornby_03-seed0"
    (alone, other) = drives_of(benchmark, tmp_path, ["link=off", "scheduler=oracle"])
    assert alone == drives[3]  # the very same drive, whether alone or among all
    assert other == drives[7]
    with pytest.raises(ValueError, match="distinct values for keys of a drive"):
        Benchmark.from_options(routes=UNSEEN, sweep={"seed": [0, 1]})


def test_summary() -> None:
    def results(index: int, completion: float, infractions: dict[str, list[str]]) -> dict[str, object]:
        return results_json([RouteRecord(index, f"r{index}", 300.0, 60.0, completion, infractions)], 1, ())

    summary = summarise({
        "a": results(0, 100.0, {}),
        "b": results(1, 100.0, {"min_speed_infractions": ["slow"]}),
        "c": results(2, 100.0, {"collisions_vehicle": ["bump"]}),
        "d": results(3, 50.0, {}),
    })  # fmt: skip
    assert summary["success_rate"] == 0.5
    assert summary["infractions"] == {"collisions_vehicle": 1, "min_speed_infractions": 1}
    assert summary["driving_scores"]["c"] == pytest.approx(60.0)
    low, high = summary["driving_score_interval"]
    assert 50.0 <= low <= summary["driving_score"] <= high <= 100.0
    assert summary["route_completion"] == pytest.approx(87.5)


@pytest.mark.parametrize(("options", "told"), [({"seeds": [1, 1]}, "distinct"), ({"workers": 0}, "at least 1")])
def test_impossible_benchmarks_are_told(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Benchmark.from_options(routes=UNSEEN, **options)
