"""Session calls: version, episode, settings, ticks, map, blueprints, weather."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING

from carla_bridge.embedded.blueprints import library
from carla_bridge.embedded.messages import (
    EpisodeSettings,
    Wire,
    number,
    pack_pose,
    pack_token,
    pack_weather,
    unpack_weather,
)
from carla_bridge.embedded.rpc import Call, CarlaError, Envelope, MethodTable
from carla_bridge.embedded.types import Pose

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()

VERSION = "0.9.16"  # of the protocol: the client warns its user when its own is another
MAP_FOLDER = "Carla/Maps"  # in front of the name, as CARLA does: load_world_if_different() compares with it


@methods.value
def version(call: Call[Server]) -> str:
    return VERSION


@methods.value
def get_episode_info(call: Call[Server]) -> Wire:
    server = call.server
    return [server.world.episode_id, pack_token(server.streams.token(server.world_stream.number))]


@methods.value
def get_sensor_token(call: Call[Server], stream_id: int) -> Wire:
    token = call.server.streams.announce(stream_id, call.connection)
    if token is None:
        raise CarlaError(f"there is no sensor stream {stream_id}")
    if stream_id == call.server.world_stream.number:
        call.server.settle(call.connection)
    return pack_token(token)


@methods.value
def get_episode_settings(call: Call[Server]) -> Wire:
    call.server.settings_asked()
    return call.server.settings.pack()


@methods.value
def set_episode_settings(call: Call[Server], settings: Wire) -> int:
    call.server.apply_settings(EpisodeSettings.unpack(settings))
    return call.server.world.frame


@methods.value
def tick_cue(call: Call[Server]) -> int | Awaitable[int]:
    """Synchronous: step. Asynchronous: the number of the frame that the clock will bring next."""
    if call.server.settings.synchronous_mode:
        return call.server.tick(call.connection)
    return call.server.world.frame + 1


@methods.value
def get_map_info(call: Call[Server]) -> Wire:
    town = call.server.town
    return [f"{MAP_FOLDER}/{town.name}", [pack_pose(_as_reported(pose)) for pose in town.spawn_points]]


def _as_reported(pose: Pose) -> Pose:
    """Yaw in (-180, 180], as actors report it: who spawns at a point finds the actor with the point's very angles."""
    return replace(pose, yaw=180.0 - (180.0 - round(pose.yaw, 4)) % 360.0)


@methods.value
def get_map_data(call: Call[Server]) -> str:
    return call.server.town.opendrive


@methods.value
def get_available_maps(call: Call[Server]) -> list[str]:
    return [f"/Game/{MAP_FOLDER}/{name}" for name in call.server.atlas.names()]


@methods.value
def get_required_files(call: Call[Server], folder: str = "") -> list[str]:
    """The walker mesh; the map travels in get_map_data, and the traffic manager builds its own cache."""
    navigation = call.server.navigation
    return [navigation.name] if folder == "Nav" and navigation is not None else []


@methods.value
def request_file(call: Call[Server], name: str) -> bytes:
    navigation = call.server.navigation
    if navigation is None or name != navigation.name:
        raise CarlaError(f"the embedded world has no file {str(name)[:80]!r}")
    return navigation.content


@methods.value
def get_actor_definitions(call: Call[Server]) -> Wire:
    return [definition.pack() for definition in library().values()]


@methods.exclusive(Envelope.VOID)
def load_new_episode(
    call: Call[Server], name: str, reset_settings: bool = True, layers: int = 0xFFFF
) -> Awaitable[None]:
    return call.server.load_episode(name, call.connection, reset_settings=bool(reset_settings))


@methods.void
def copy_opendrive_to_file(call: Call[Server], opendrive: str, parameters: Wire) -> None:
    """The first half of `generate_opendrive_world`: load_new_episode("OpenDriveMap") follows.

    The parameters shape the mesh that CARLA grows from the lanes; the town built here has sidewalks and houses instead.
    """
    if not isinstance(opendrive, str):
        raise CarlaError("an OpenDRIVE text is needed")
    call.server.atlas.set_opendrive(opendrive)


@methods.value
def get_weather_parameters(call: Call[Server]) -> Wire:
    return pack_weather(call.server.weather)


@methods.void
def set_weather_parameters(call: Call[Server], weather: Wire) -> None:
    call.server.set_weather(unpack_weather(weather))


@methods.value
def get_imui_gravity(call: Call[Server]) -> float:
    return call.server.sensors.gravity_m_s2


@methods.void
def set_imui_gravity(call: Call[Server], gravity: float) -> None:
    call.server.sensors.gravity_m_s2 = number(gravity)
