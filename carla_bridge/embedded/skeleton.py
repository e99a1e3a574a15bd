"""Names and places of components, bones and sockets, computed from an actor's box: the meshes here have no rig.

The names are those of CARLA's own skeletons; the proportions of a standing person are the usual shares of body height
(Drillis and Contini, Body Segment Parameters, 1966).
"""

from __future__ import annotations

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.types import Pose

_HIP, _KNEE, _ANKLE, _CHEST, _SHOULDER, _ELBOW, _WRIST = 0.53, 0.285, 0.039, 0.72, 0.818, 0.63, 0.485
_NECK, _HEAD, _EYE = 0.87, 0.93, 0.936
# name -> (share of the height above the feet, of half the width to the right, of half the depth forward)
_PERSON: dict[str, tuple[float, float, float]] = {
    "crl_root": (0.0, 0.0, 0.0),
    "crl_hips__C": (_HIP, 0.0, 0.0),
    "crl_spine__C": (0.6, 0.0, 0.0),
    "crl_spine01__C": (_CHEST, 0.0, 0.0),
    "crl_neck__C": (_NECK, 0.0, 0.0),
    "crl_Head__C": (_HEAD, 0.0, 0.0),
    **{
        f"crl_{name}__{side}": (height, sign * across, forward)
        for side, sign in (("L", -1.0), ("R", 1.0))
        for name, height, across, forward in (
            ("shoulder", _SHOULDER, 0.3, 0.0),
            ("arm", _SHOULDER, 0.7, 0.0),
            ("foreArm", _ELBOW, 0.8, 0.0),
            ("hand", _WRIST, 0.8, 0.0),
            ("eye", _EYE, 0.12, 0.4),
            ("thigh", _HIP, 0.4, 0.0),
            ("leg", _KNEE, 0.4, 0.0),
            ("foot", _ANKLE, 0.4, 0.0),
            ("toe", 0.0, 0.4, 0.5),
        )
    },
}
_WHEELS = {  # share of half the length forward, of half the width to the right
    "Wheel_Front_Left": (0.62, -0.85),
    "Wheel_Front_Right": (0.62, 0.85),
    "Wheel_Rear_Left": (-0.62, -0.85),
    "Wheel_Rear_Right": (-0.62, 0.85),
}
_WHEEL_RADIUS_M = 0.35
_ROOT = {
    ActorKind.VEHICLE: "VehicleMesh",
    ActorKind.WALKER: "CharacterMesh0",
    ActorKind.PROP: "StaticMeshComponent0",
    ActorKind.TRAFFIC_LIGHT: "TrafficLightMesh",
    ActorKind.SIGN: "SignMesh",
}


def component_names(actor: Actor) -> list[str]:
    return [_ROOT.get(actor.kind, "DefaultSceneRoot")]


def bones(actor: Actor) -> dict[str, Pose]:
    """Bones and where they are in the actor's frame."""
    length, width, height = actor.extent
    if actor.kind is ActorKind.WALKER:  # its origin is its middle
        return {
            name: Pose(forward * length, across * width, (2.0 * up - 1.0) * height)
            for name, (up, across, forward) in _PERSON.items()
        }
    if actor.kind is ActorKind.VEHICLE:
        wheels = {name: Pose(x * length, y * width, _WHEEL_RADIUS_M) for name, (x, y) in _WHEELS.items()}
        return {"Vehicle_Base": Pose(), **wheels}
    return {}


def sockets(actor: Actor) -> dict[str, Pose]:
    """Only vehicles have some: the places that are worth mounting a sensor on."""
    if actor.kind is not ActorKind.VEHICLE:
        return {}
    length, _, height = actor.extent
    return {
        "roof": Pose(0.0, 0.0, 2.0 * height),
        "hood": Pose(0.7 * length, 0.0, 1.2 * height),
        "front": Pose(length, 0.0, height),
        "rear": Pose(-length, 0.0, height),
    }
