"""The blueprint library as scripts written for CARLA use it."""

from __future__ import annotations

from collections import Counter

import carla
import pytest

from carla_bridge.embedded.actors import extent_of


@pytest.fixture(scope="module")
def library(client: carla.Client) -> carla.BlueprintLibrary:
    return client.get_world().get_blueprint_library()


def test_filters_find_what_scripts_look_for(library: carla.BlueprintLibrary) -> None:
    def ids(pattern: str) -> list[str]:
        return sorted(blueprint.id for blueprint in library.filter(pattern))

    assert len(ids("vehicle.*")) == 41
    assert len(ids("walker.pedestrian.*")) == len(ids("walker.*")) == 51
    assert len(ids("static.prop.*")) == 95
    assert ids("vehicle.tesla.model3") == ["vehicle.tesla.model3"]
    assert ids("*mustang*") == ["vehicle.ford.mustang"]
    assert ids("model3") == ["vehicle.tesla.model3"]
    assert "static.prop.trafficcone01" in ids("*cone*")
    for single in ("controller.ai.walker", "static.trigger.friction", "util.actor.empty", "sensor.lidar.ray_cast"):
        assert library.find(single).id == single


def test_vehicles_are_told_apart_by_their_attributes(library: carla.BlueprintLibrary) -> None:
    vehicles = library.filter("vehicle.*")
    wheels = Counter(int(blueprint.get_attribute("number_of_wheels")) for blueprint in vehicles)
    assert wheels == {4: 34, 2: 7}
    kinds = Counter(blueprint.get_attribute("base_type").as_str() for blueprint in vehicles)
    assert kinds == {"car": 25, "truck": 4, "van": 4, "bus": 1, "motorcycle": 4, "bicycle": 3}
    assert len(library.filter_by_attribute("base_type", "bicycle")) == 3
    assert len(library.filter_by_attribute("special_type", "emergency")) == 4
    assert {b.id for b in library.filter_by_attribute("special_type", "taxi")} == {"vehicle.ford.crown"}
    assert 10 < len([b for b in vehicles if int(b.get_attribute("generation")) == 2]) < 20
    for blueprint in vehicles:
        for name in ("color", "driver_id", "role_name"):
            assert blueprint.get_attribute(name).is_modifiable
            assert len(blueprint.get_attribute(name).recommended_values) > 0
        for name in ("base_type", "special_type", "generation", "number_of_wheels", "has_lights", "object_type"):
            assert not blueprint.get_attribute(name).is_modifiable
        assert bool(blueprint.get_attribute("sticky_control"))
    with pytest.raises(ValueError, match="read-only"):
        vehicles[0].set_attribute("number_of_wheels", "6")


def test_walkers_have_paces_and_ages(library: carla.BlueprintLibrary) -> None:
    walkers = library.filter("walker.pedestrian.*")
    for blueprint in walkers:
        still, walking, running = (float(pace) for pace in blueprint.get_attribute("speed").recommended_values)
        assert still == 0.0 < walking < running
        blueprint.set_attribute("is_invincible", "false")
    assert Counter(b.get_attribute("age").as_str() for b in walkers) == {"adult": 43, "child": 8}
    assert {b.get_attribute("gender").as_str() for b in walkers} == {"male", "female"}


def test_every_blueprint_spawns_at_its_own_size(client: carla.Client, world: carla.World) -> None:
    """Vehicles at the spawn points, everything else on a grid high above the town."""
    library = world.get_blueprint_library()
    points = iter(world.get_map().get_spawn_points())
    vehicles = list(library.filter("vehicle.*"))
    others = [*library.filter("walker.pedestrian.*"), *library.filter("static.*"), library.find("util.actor.empty")]
    grid = (carla.Location(10.0 * (k % 13) - 60.0, 10.0 * (k // 13) - 60.0, 60.0) for k in range(len(others)))
    commands = [carla.command.SpawnActor(blueprint, next(points)) for blueprint in vehicles]
    commands += [
        carla.command.SpawnActor(blueprint, carla.Transform(at)) for blueprint, at in zip(others, grid, strict=True)
    ]
    answers = client.apply_batch_sync(commands, True)
    assert {
        blueprint.id: answer.error
        for blueprint, answer in zip([*vehicles, *others], answers, strict=True)
        if answer.error
    } == {}
    spawned = {actor.id: actor for actor in world.get_actors([answer.actor_id for answer in answers])}
    for blueprint, answer in zip([*vehicles, *others], answers, strict=True):
        actor, half = spawned[answer.actor_id], extent_of(blueprint.id)
        assert actor.type_id == blueprint.id
        kind = (
            carla.Vehicle if "vehicle." in blueprint.id else carla.Walker if "walker." in blueprint.id else carla.Actor
        )
        assert type(actor) is kind
        if half is not None:
            size = actor.bounding_box.extent
            assert (size.x, size.y, size.z) == pytest.approx(half, abs=1e-5)
            assert len(actor.semantic_tags) > 0


def test_the_tags_of_two_wheelers_name_rider_and_cycle(world: carla.World) -> None:
    labels = carla.CityObjectLabel
    points = world.get_map().get_spawn_points()
    for type_id, tags, point in (
        ("vehicle.bh.crossbike", {labels.Bicycle, labels.Rider}, points[0]),
        ("vehicle.yamaha.yzf", {labels.Motorcycle, labels.Rider}, points[1]),
        ("vehicle.mitsubishi.fusorosa", {labels.Bus}, points[2]),
        ("vehicle.carlamotors.firetruck", {labels.Truck}, points[3]),
    ):
        actor = world.spawn_actor(world.get_blueprint_library().find(type_id), point)
        assert set(actor.semantic_tags) == {int(tag) for tag in tags}
