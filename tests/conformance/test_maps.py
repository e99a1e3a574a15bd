"""Maps: loading by name and by alias, worlds made of OpenDRIVE, and clients that load while others tick."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import carla
import pytest

from carla_bridge.embedded.aliases import ALIASES

STRAIGHT = """<?xml version="1.0"?>
<OpenDRIVE><header revMajor="1" revMinor="4" name="straight" north="0" south="0" east="0" west="0"/>
<road name="" length="{length}" id="1" junction="-1"><link/>
<planView><geometry s="0" x="{x}" y="0" hdg="0" length="{length}"><line/></geometry></planView>
<elevationProfile><elevation s="0" a="0" b="0" c="0" d="0"/></elevationProfile><lateralProfile/>
<lanes><laneSection s="0">
<left><lane id="1" type="driving" level="false"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></left>
<center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes></road></OpenDRIVE>"""


def test_towns_of_carla_have_stand_ins(client: carla.Client, world: carla.World) -> None:
    own = {name.rsplit("/", 1)[-1] for name in client.get_available_maps()}
    assert {alias.town for alias in ALIASES.values()} <= own
    for name in ("Town03", "/Game/Carla/Maps/Town03", "Town03_Opt"):
        loaded = client.load_world(name, False)
        assert loaded.get_map().name.rsplit("/", 1)[-1] in own  # says what it is, not what was asked for
    with pytest.raises(RuntimeError, match="map 'Town99' not found"):
        client.load_world("Town99")


def test_a_world_is_loaded_only_if_it_differs(client: carla.Client, world: carla.World) -> None:
    before = world.id
    client.load_world_if_different("Gridley", False)
    assert client.get_world().id == before


def test_a_moved_town_is_not_served_from_a_cache(client: carla.Client, world: carla.World, world_port: int) -> None:
    """Town03 and Town05 are both made of Gridley, under its name, at different places."""
    other = carla.Client("127.0.0.1", world_port)
    other.set_timeout(20.0)
    watching = other.get_world()
    first = {(round(p.location.x), round(p.location.y)) for p in watching.get_map().get_spawn_points()}
    client.load_world("Town05", False).tick()
    moved = {(round(p.location.x), round(p.location.y)) for p in watching.get_map().get_spawn_points()}
    assert len(moved) == len(first)
    assert moved != first
    roads = {w.road_id for w in watching.get_map().generate_waypoints(10.0)}
    for point in watching.get_map().get_spawn_points()[::20]:
        waypoint = watching.get_map().get_waypoint(point.location)
        assert waypoint.transform.location.distance(point.location) < 1.0
        assert waypoint.road_id in roads


def test_generated_worlds(client: carla.Client, world: carla.World) -> None:
    """Any OpenDRIVE; a second text under the same name replaces the first."""
    parameters = carla.OpendriveGenerationParameters(2.0, 50.0, 1.0, 0.6, True, True)
    for length, x in ((400.0, 0.0), (300.0, 100.0)):
        made = client.generate_opendrive_world(STRAIGHT.format(length=length, x=x), parameters, False)
        assert made.get_map().name.endswith("OpenDriveMap")
        begin = made.get_map().get_waypoint(carla.Location(x=x + 1.0, y=1.75))
        assert begin.transform.location.x == pytest.approx(x + 1.0, abs=0.1)
        assert len(begin.next_until_lane_end(10.0)) == pytest.approx(length / 10.0, abs=2)
        blueprint = made.get_blueprint_library().find("vehicle.tesla.model3")
        car = made.spawn_actor(blueprint, made.get_map().get_spawn_points()[0])
        for _ in range(20):
            made.tick()
        assert abs(car.get_location().z) < 0.1
    assert client.reload_world(False).get_map().name.endswith("OpenDriveMap")


@pytest.mark.parametrize("text", ["", "no xml", "<OpenDRIVE/>", "<OpenDRIVE><road id='1' length='-1'/></OpenDRIVE>"])
def test_hopeless_texts_are_refused_in_one_line(client: carla.Client, world: carla.World, text: str) -> None:
    before = world.id
    with pytest.raises(RuntimeError) as refusal:
        client.generate_opendrive_world(text, carla.OpendriveGenerationParameters(), False)
    assert "\n" not in str(refusal.value)
    assert client.get_world().id == before
    world.tick()


def test_others_are_served_while_a_town_loads(client: carla.Client, world: carla.World, world_port: int) -> None:
    other = carla.Client("127.0.0.1", world_port)
    other.set_timeout(30.0)
    done = threading.Event()
    text = STRAIGHT.format(length=500.0, x=0.0).replace('name="straight"', f'name="{time.time()}"')

    def load() -> None:
        other.generate_opendrive_world(text, carla.OpendriveGenerationParameters(), False)
        done.set()

    loading = threading.Thread(target=load)
    loading.start()
    slowest_s, ticks = 0.0, 0
    while not done.is_set():
        started = time.monotonic()
        world.tick()
        slowest_s, ticks = max(slowest_s, time.monotonic() - started), ticks + 1
    loading.join()
    assert slowest_s < 1.0
    assert ticks > 10


def test_options_that_cannot_be(tmp_path: Path) -> None:
    bad = tmp_path / "bad.xodr"
    bad.write_text("<OpenDRIVE/>")
    for options in (("--opendrive", str(tmp_path / "none.xodr")), ("--opendrive", str(bad))):
        command = [sys.executable, "-m", "carla_bridge.embedded", "--port", "0", *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
        assert result.returncode == 2
        assert len(result.stderr.strip().splitlines()) == 1


def test_layers_are_harmless(world: carla.World) -> None:
    world.unload_map_layer(carla.MapLayer.Buildings)
    world.load_map_layer(carla.MapLayer.Buildings)
    world.tick()
