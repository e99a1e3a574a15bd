"""Towns built around any OpenDRIVE text, with carla.Map's waypoints and a ray tracer as oracles."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import carla
import numpy as np
import pytest
import shapely
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from trimesh.ray.ray_pyembree import RayMeshIntersector

from carla_bridge.embedded.towns import load_town
from carla_bridge.embedded.towns.assemble import build_town
from carla_bridge.embedded.towns.site import BuildingKind, Style, TownError
from carla_bridge.embedded.towns.xodr.reader import read_network
from carla_bridge.embedded.towns.xodr.strips import resample, sample_road
from carla_bridge.embedded.types import Label, Mesh, Town, WalkArea

BARE = Style(buildings=BuildingKind.RURAL, building_density=0.0, tree_density=0.0, lamp_spacing_m=0.0)
LINE = "<line/>"
DRIVING = '<width sOffset="0" a="3.5" b="0" c="0" d="0"/>'
TWO_WAY = (
    f'<left><lane id="2" type="sidewalk"><width sOffset="0" a="2" b="0" c="0" d="0"/></lane>'
    f'<lane id="1" type="driving">{DRIVING}</lane></left><center><lane id="0" type="none">'
    '<roadMark sOffset="0" type="solid broken" color="yellow" width="0.12"/></lane></center>'
    f'<right><lane id="-1" type="driving">{DRIVING}'
    '<roadMark sOffset="0" type="broken" color="white" width="0.12"/></lane>'
    '<lane id="-2" type="shoulder"><width sOffset="0" a="1.5" b="0" c="0" d="0"/></lane></right>'
)


def road(
    shape: str = LINE,
    length: float = 80.0,
    lanes: str = f'<laneSection s="0">{TWO_WAY}</laneSection>',
    *,
    number: int = 1,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    elevation: str = "",
    lateral: str = "",
    signals: str = "",
) -> str:
    x, y, heading = pose
    return (
        f'<road name="r" length="{length}" id="{number}" junction="-1"><link/>'
        f'<planView><geometry s="0" x="{x}" y="{y}" hdg="{heading}" length="{length}">{shape}</geometry></planView>'
        f"<elevationProfile>{elevation}</elevationProfile><lateralProfile>{lateral}</lateralProfile>"
        f"<lanes>{lanes}</lanes>{signals}</road>"
    )


def document(*roads: str) -> str:
    header = '<header revMajor="1" revMinor="4" name="t" version="1"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?><OpenDRIVE>{header}{"".join(roads)}</OpenDRIVE>'


def elevation(*rows: tuple[float, float, float, float, float]) -> str:
    return "".join(f'<elevation s="{s}" a="{a}" b="{b}" c="{c}" d="{d}"/>' for s, a, b, c, d in rows)


APPEARING = (
    '<laneOffset s="0" a="0" b="0" c="0" d="0"/><laneOffset s="30" a="0" b="0" c="0.0105" d="-0.000350"/>'
    '<laneOffset s="50" a="1.4" b="0" c="0" d="0"/>'
    f'<laneSection s="0">{TWO_WAY}</laneSection><laneSection s="30"><center><lane id="0" type="none"/></center><right>'
    f'<lane id="-1" type="driving">{DRIVING}</lane><lane id="-2" type="driving">'
    '<width sOffset="0" a="0" b="0" c="0.02625" d="-0.000875"/><width sOffset="20" a="3.5" b="0" c="0" d="0"/></lane>'
    '<lane id="-3" type="sidewalk"><width sOffset="0" a="2" b="0" c="0" d="0"/></lane></right></laneSection>'
    '<laneSection s="60"><center><lane id="0" type="none"/></center><right>'
    f'<lane id="-1" type="driving">{DRIVING}</lane>'
    f'<lane id="-2" type="driving">{DRIVING}</lane></right></laneSection>'
)
HILL = elevation((0, 3, 0, 0.0015, 0), (40, 5.4, 0.12, -0.003, 0))
CUBIC = '<paramPoly3 aU="0" bU="80" cU="0" dU="-8" aV="0" bV="0" cV="60" dV="-40" pRange="normalized"/>'
TEXTS = {
    "spiral": document(road('<spiral curvStart="0" curvEnd="0.04"/>', 60.0)),
    "poly3": document(road('<poly3 a="0" b="0" c="0.004" d="-0.00003"/>', 70.0, pose=(5.0, -3.0, 2.0))),
    "paramPoly3": document(road(CUBIC, 75.1964)),
    "hill": document(road('<arc curvature="-0.02"/>', 80.0, elevation=HILL)),
    "lanes": document(road('<arc curvature="0.01"/>', 80.0, APPEARING)),
}


class Surface:
    """What lies on or below a place of a town's mesh."""

    def __init__(self, mesh: Mesh | None, *labels: Label) -> None:
        assert mesh is not None
        keep = np.isin(mesh.labels, labels)
        self.labels = mesh.labels[keep]
        self.tracer = RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.triangles[keep], process=False))

    def hit(self, points: np.ndarray, direction: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
        """(N, 3) -> (N,) distance along z, nan for none, and (N,) label."""
        rays = np.tile([0.0, 0.0, direction], (len(points), 1))
        at, ray, triangle = self.tracer.intersects_location(points, rays, multiple_hits=False)
        distance, label = np.full(len(points), np.nan), np.zeros(len(points), np.uint8)
        distance[ray], label[ray] = np.abs(at[:, 2] - points[ray, 2]), self.labels[triangle]
        return distance, label


UP = np.array([0.0, 0.0, 1.0])
SOLID = (Label.ROADS, Label.SIDEWALKS, Label.TERRAIN)


def locations(waypoints: list[carla.Waypoint]) -> np.ndarray:
    """(N, 3) of lanes wide enough for a wheel; where a lane begins or ends, a foot inside it."""
    places = []
    for waypoint in waypoints:
        if waypoint.lane_width < 0.5:
            continue
        place, ahead = waypoint.transform.location, waypoint.transform.get_forward_vector()
        step = 0.3 if not waypoint.previous(0.4) else 0.0 if waypoint.next(0.4) else -0.3
        places.append([place.x + step * ahead.x, place.y + step * ahead.y, place.z + step * ahead.z])
    return np.array(places)


def check_cover(town: Town, step: float = 2.0) -> None:
    """Asphalt at the height of every driving waypoint."""
    points = locations(carla.Map(town.name, town.opendrive).generate_waypoints(step))
    distance, label = Surface(town.mesh, *SOLID).hit(points + 0.5 * UP)
    assert (label == Label.ROADS).all()
    assert np.abs(distance - 0.5).max() < 0.02


@pytest.mark.parametrize("name", TEXTS)
def test_lanes_lie_where_the_client_has_them(name: str) -> None:
    text = TEXTS[name]
    roads = {k.id: sample_road(k) for k in read_network(text).roads}
    for waypoint in carla.Map(name, text).generate_waypoints(1.5):
        found = [
            resample(k.s, np.column_stack([k.centre(), k.width]), np.array([waypoint.s]))[0]
            for k in roads[str(waypoint.road_id)].strips
            if k.lane.id == waypoint.lane_id and k.s[0] - 1e-6 <= waypoint.s <= k.s[-1] + 1e-6
        ]
        place = waypoint.transform.location
        apart = [math.dist((x, -y, z), (place.x, place.y, place.z)) for x, y, z, _ in found]
        nearest = int(np.argmin(apart))
        assert apart[nearest] < 0.03
        assert abs(found[nearest][3] - waypoint.lane_width) < 0.03


@pytest.mark.parametrize("name", TEXTS)
def test_every_driving_waypoint_stands_on_asphalt(name: str) -> None:
    check_cover(build_town(name, TEXTS[name], BARE, 1))


def test_superelevated_roads_lean() -> None:
    """z = elevation + t tan(angle), to the left upwards when the angle is positive (as the standard has it)."""
    lateral = '<superelevation s="0" a="0.08" b="0" c="0" d="0"/>'
    town = build_town("bank", document(road(elevation=elevation((0, 5, 0, 0, 0)), lateral=lateral)), BARE, 1)
    t = np.array([-3.0, -1.0, 1.0, 3.0])
    points = np.column_stack([np.full(4, 40.3), -t, np.full(4, 8.0)])
    distance, label = Surface(town.mesh, *SOLID).hit(points)
    np.testing.assert_allclose(8.0 - distance, 5.0 + t * math.tan(0.08), atol=2e-3)
    assert (label == Label.ROADS).all()
    assert town.ground is not None


def test_sidewalks_are_raised_and_the_land_meets_the_road() -> None:
    town = build_town("hill", TEXTS["hill"], BARE, 1)
    sampled = sample_road(read_network(TEXTS["hill"]).roads[0])
    surface = Surface(town.ground, *SOLID)
    walk = next(k for k in sampled.strips if k.lane.kind == "sidewalk")
    shoulder = next(k for k in sampled.strips if k.lane.kind == "shoulder")
    for strip, label, rise in ((walk, Label.SIDEWALKS, 0.12), (shoulder, Label.ROADS, 0.0)):
        middle = strip.centre()[1:-1] * [1.0, -1.0, 1.0]
        distance, found = surface.hit(middle + UP)
        assert (found == label).all()
        assert np.abs(distance - 1.0).max() < 0.01
        road_z = np.interp(strip.s[1:-1], sampled.stations, sampled.road.elevation.at(sampled.stations))
        assert np.abs(middle[:, 2] - road_z - rise).max() < 0.01
        away = strip.outer + strip.outwards * 0.4 * np.column_stack([strip.across, np.zeros(len(strip.s))])
        distance, found = surface.hit((away * [1.0, -1.0, 1.0])[1:-1] + UP)
        assert (found == Label.TERRAIN).all()
        assert np.nanmax(np.abs(distance - 1.0)) < 0.2


def test_a_road_that_crosses_above_another_is_a_bridge() -> None:
    above = road(length=200.0, number=1, pose=(-100.0, 0.0, 0.0), elevation=elevation((0, 6, 0, 0, 0)))
    below = road(length=200.0, number=2, pose=(0.0, -100.0, math.pi / 2.0))
    town = build_town("bridge", document(above, below), BARE, 1)
    check_cover(town)
    surface = Surface(town.mesh, *SOLID, Label.BRIDGE)
    points = np.array([[x, y, 1.0] for x in (-3.0, 1.7, 3.0) for y in (-3.0, 0.3, 3.0)])
    distance, label = surface.hit(points, 1.0)  # from the lower road upwards: the underside
    assert (label == Label.BRIDGE).all()
    assert ((distance > 3.5) & (distance < 5.0)).all()
    assert any(abs(pose.z - 6.4) < 0.02 for pose in town.spawn_points)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.sampled_from([0.0, 0.01, 0.4, 3.5, 12.0]), min_size=2, max_size=2),
    cut=st.sampled_from([0.0, 1e-4, 20.0, 39.999, 40.0]),
    kinds=st.permutations(["driving", "sidewalk", "median", "border", "none", "parking"]),
    curvature=st.sampled_from([0.0, 0.3, -0.9]),
    lift=st.sampled_from([0.0, 0.5]),
)
def test_odd_lanes_never_break_a_town(
    widths: list[float], cut: float, kinds: list[str], curvature: float, lift: float
) -> None:
    lanes = "".join(
        f'<lane id="{-2 - i}" type="{kind}"><width sOffset="0" a="{a}" b="{0.02 * i}" c="0" d="0"/>'
        f'<roadMark sOffset="0" type="{"solid solid" if i % 2 else "broken"}" color="white"/></lane>'
        for i, (kind, a) in enumerate(zip(kinds, itertools.cycle(widths), strict=False))
    )
    section = (
        '<laneSection s="{}"><center><lane id="0" type="none"/></center><right>'
        f'<lane id="-1" type="driving">{DRIVING}</lane>{lanes}</right></laneSection>'
    )
    text = document(
        road(
            f'<arc curvature="{curvature}"/>',
            40.0,
            section.format(0) + section.format(cut),
            elevation=elevation((0, lift, 0, 0, 0)),
        )
    )
    town = build_town("odd", text, BARE, 1)
    assert np.isfinite(town.mesh.vertices).all()
    corners = town.mesh.vertices[town.mesh.triangles].astype(np.float64)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
    assert (np.linalg.norm(normals, axis=1) > 1e-9).all()
    assert (town.ground is None) == (lift == 0.0)
    for walkway in town.walkways:
        assert np.isfinite(walkway.outline).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a/>",
        "<OpenDRIVE>",
        document(),
        document(road(lanes='<laneSection s="0"><center/></laneSection>')),
        document(road(length=1e9)),
    ],
)
def test_hopeless_texts_are_told_in_one_line(text: str) -> None:
    with pytest.raises(TownError) as error:
        build_town("no", text, BARE, 1)
    assert "\n" not in str(error.value)


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = (build_town("lanes", TEXTS["lanes"], Style(), 3) for _ in range(2))
    for field in ("vertices", "triangles", "colours", "labels", "materials"):
        assert getattr(first.mesh, field).tobytes() == getattr(second.mesh, field).tobytes()
    assert (first.solids, first.spawn_points, first.lamps) == (second.solids, second.spawn_points, second.lamps)


def test_speed_limits_and_signs_follow_the_file() -> None:
    signals = (
        '<signals><signal s="30" t="-6.5" id="a" dynamic="no" orientation="+" type="274" value="30" unit="km/h"/>'
        '<signal s="50" t="7" id="b" dynamic="no" orientation="-" type="274" subtype="56" value="-1"/>'
        '<signal s="60" t="0" id="c" dynamic="no" orientation="+" type="206" value="-1"/></signals>'
    )
    town = build_town("signs", document(road(signals=signals)), BARE, 1)
    signs = {sign.signal_id: sign for sign in town.signs}
    assert {k: v.type_id for k, v in signs.items()} == {
        "a": "traffic.speed_limit.30",
        "b": "traffic.speed_limit.60",
        "c": "traffic.stop",
    }
    # faces look against the traffic they are meant for; triggers lie on its lane
    assert abs(math.remainder(signs["a"].pole.yaw - 180.0, 360.0)) < 1e-6
    assert abs(math.remainder(signs["b"].pole.yaw, 360.0)) < 1e-6
    assert signs["a"].trigger.centre.y == pytest.approx(1.75, abs=0.01)
    assert signs["b"].trigger.centre.y == pytest.approx(-1.75, abs=0.01)
    assert signs["c"].pole.y > 3.5  # in the middle of the road in the file: moved to its side


@pytest.fixture(scope="module")
def gridley() -> Town:
    return load_town("Gridley")


def triggers(town: Town) -> dict[str, tuple[float, float, float]]:
    """Where the middle of each light's stop line is, and the heading of travel."""
    ends = {}
    for light in town.lights:
        centre, half = light.trigger.centre, light.trigger.extent[0]
        yaw = math.radians(centre.yaw)
        ends[light.signal_id] = (centre.x + half * math.cos(yaw), centre.y + half * math.sin(yaw), centre.yaw)
    return ends


def roadrunner_dialect(text: str) -> str:
    """The same signals as CARLA's own towns have them: the signal is valid for lane 0, connecting roads refer to it,
    orientations are the other way round."""
    root = ET.fromstring(text)
    for element in root.findall("road"):
        for signal in element.findall("signals/signal"):
            for validity in signal.findall("validity"):
                lanes = range(int(validity.get("fromLane", 0)), int(validity.get("toLane", 0)) + 1)
                at_end = signal.get("orientation") == "+"
                contact = "end" if at_end else "start"
                for other in root.findall("road"):
                    before = other.find("link/predecessor")
                    if other.get("junction") == "-1" or before is None:
                        continue
                    lane = other.find("lanes/laneSection/right/lane[@id='-1']/link/predecessor")
                    same = (before.get("elementId"), before.get("contactPoint")) == (element.get("id"), contact)
                    if same and lane is not None and int(lane.get("id", 0)) in lanes:
                        signals = other.find("signals")
                        signals = ET.SubElement(other, "signals") if signals is None else signals
                        reference = {"s": "0", "t": "0", "id": signal.get("id", ""), "orientation": "-"}
                        child = ET.SubElement(signals, "signalReference", reference)
                        ET.SubElement(child, "validity", {"fromLane": "-1", "toLane": "-1"})
                validity.set("fromLane", "0")
                validity.set("toLane", "0")
    return ET.tostring(root, encoding="unicode")


def without_controllers(text: str) -> str:
    root = ET.fromstring(text)
    for parent in (root, *root.findall("junction")):
        for controller in parent.findall("controller"):
            parent.remove(controller)
    return ET.tostring(root, encoding="unicode")


@pytest.mark.parametrize("change", [str, roadrunner_dialect, without_controllers])
def test_lights_of_any_dialect_hold_the_same_lanes(gridley: Town, change: object) -> None:
    """Gridley's own lights are the oracle for its text read back."""
    assert callable(change)
    town = build_town("again", change(gridley.opendrive), BARE, 1)
    wanted, found = triggers(gridley), triggers(town)
    assert set(found) == set(wanted)
    for signal, (x, y, yaw) in wanted.items():
        assert math.dist((x, y), found[signal][:2]) < 0.05
        assert abs(math.remainder(yaw - found[signal][2], 360.0)) < 0.5
    groups: dict[int, set[int]] = {}
    for light in town.lights:
        phases = groups.setdefault(light.group, set())
        assert light.phase not in phases, "every approach has a phase of its own"
        phases.add(light.phase)
    assert sorted(map(len, groups.values())) == sorted([4] * 4 + [3] * 8)


def check_spawn_points(town: Town) -> None:
    poses = town.spawn_points
    here = np.array([[p.x, p.y, p.z] for p in poses])
    distance, label = Surface(town.mesh, *SOLID).hit(here)
    assert (label == Label.ROADS).all()
    assert (np.abs(distance - 0.4) < 0.03).all()
    cars = []
    for pose in poses:
        c, s = math.cos(math.radians(pose.yaw)), math.sin(math.radians(pose.yaw))
        corners = [(ex, ey) for ex, ey in ((2.6, 1.05), (2.6, -1.05), (-2.6, -1.05), (-2.6, 1.05))]
        cars.append(shapely.Polygon([(pose.x + ex * c - ey * s, pose.y + ex * s + ey * c) for ex, ey in corners]))
    a, b = shapely.STRtree(cars).query(cars, predicate="intersects")
    clash = (a < b) & (np.abs(here[a, 2] - here[b, 2]) < 3.0)
    assert not clash.any()


@pytest.fixture(scope="module")
def ringwood() -> Town:
    """Roundabouts, ramps and a bridge."""
    return load_town("Ringwood")


def test_a_whole_town(ringwood: Town) -> None:
    check_cover(ringwood, 4.0)
    check_spawn_points(ringwood)
    assert {w.area for w in ringwood.walkways} >= {WalkArea.SIDEWALK, WalkArea.CROSSWALK}


def test_lights_can_be_seen_by_those_they_hold(ringwood: Town) -> None:
    assert ringwood.lights
    for light in ringwood.lights:
        centre, (half, _, _) = light.trigger.centre, light.trigger.extent
        yaw = math.radians(centre.yaw)
        start = centre.x - half * math.cos(yaw), centre.y - half * math.sin(yaw)
        ahead = (light.head.x - start[0]) * math.cos(yaw) + (light.head.y - start[1]) * math.sin(yaw)
        aside = (light.head.y - start[1]) * math.cos(yaw) - (light.head.x - start[0]) * math.sin(yaw)
        assert ahead > 6.0
        assert abs(aside) < ahead
        assert abs(math.remainder(light.head.yaw - centre.yaw - 180.0, 360.0)) < 1.0  # it shines towards them


def test_gridleys_walkways_join(gridley: Town) -> None:
    """From any sidewalk to any other, over the crossings; and the client knows the crossings."""
    assert {w.area for w in gridley.walkways} >= {WalkArea.SIDEWALK, WalkArea.CROSSWALK}
    areas = [shapely.Polygon(w.outline[:, :2]) for w in gridley.walkways if w.area is not WalkArea.ROAD]
    assert all(area.is_valid for area in areas)
    joined = shapely.union_all([area.buffer(0.02) for area in areas])
    assert joined.geom_type == "Polygon"
    corners = carla.Map(gridley.name, gridley.opendrive).get_crosswalks()
    assert len(corners) == 5 * 40  # closed outlines of one crossing an arm
