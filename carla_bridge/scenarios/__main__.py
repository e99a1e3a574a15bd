"""python -m carla_bridge.scenarios FOLDER: writes scenarios_dev.xml and scenarios_test.xml."""

from __future__ import annotations

import sys
from pathlib import Path

import carla

from carla_bridge.embedded.towns import load_town
from carla_bridge.routes import save_routes
from carla_bridge.scenarios.benchmark import SPLITS, make_benchmark
from carla_bridge.scenarios.sites import Town


def main(folder: Path) -> None:
    names = sorted({name for split in SPLITS for name in split.towns})
    towns = {name: Town.of(carla.Map(name, load_town(name).opendrive)) for name in names}
    for name, routes in make_benchmark(towns).items():
        path = folder / f"scenarios_{name}.xml"
        save_routes(routes, path)
        print(f"{path}: {len(routes)} routes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "configs/routes"))
