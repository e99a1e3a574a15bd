"""Session calls: version, episode, settings, ticks, map, blueprints, weather."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from carla_bridge.embedded.blueprints import library
from carla_bridge.embedded.messages import EpisodeSettings, Wire, pack_pose, pack_token, pack_weather, unpack_weather
from carla_bridge.embedded.rpc import Call, CarlaError, Envelope, MethodTable
from carla_bridge.embedded.towns import TOWN_NAMES

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()

# The protocol's version, and that this is not CARLA; the client prints a warning about the difference.
VERSION = "0.9.16-e2e-drive-embedded"
MAP_FOLDER = "/Game/Carla/Maps"


@methods.value
def version(call: Call[Server]) -> str:
    return VERSION


@methods.value
def get_episode_info(call: Call[Server]) -> Wire:
    server = call.server
    return [server.world.episode_id, pack_token(server.streams.token(server.world_stream.number))]


@methods.value
def get_sensor_token(call: Call[Server], stream_id: int) -> Wire:
    token = call.server.streams.announce(stream_id)
    if token is None:
        raise CarlaError(f"there is no sensor stream {stream_id}")
    return pack_token(token)


@methods.value
def get_episode_settings(call: Call[Server]) -> Wire:
    call.server.settings_answered_at = time.monotonic()
    return call.server.settings.pack()


@methods.value
def set_episode_settings(call: Call[Server], settings: Wire) -> int:
    call.server.apply_settings(EpisodeSettings.unpack(settings))
    return call.server.world.frame


@methods.value
def tick_cue(call: Call[Server]) -> int | Awaitable[int]:
    """Synchronous: step. Asynchronous: the number of the frame that the clock will bring next."""
    if call.server.settings.synchronous_mode:
        return call.server.step()
    return call.server.world.frame + 1


@methods.value
def get_map_info(call: Call[Server]) -> Wire:
    town = call.server.town
    return [f"{MAP_FOLDER}/{town.name}", [pack_pose(pose) for pose in town.spawn_points]]


@methods.value
def get_map_data(call: Call[Server]) -> str:
    return call.server.town.opendrive


@methods.value
def get_available_maps(call: Call[Server]) -> list[str]:
    return [f"{MAP_FOLDER}/{name}" for name in TOWN_NAMES]


@methods.value
def get_required_files(call: Call[Server], folder: str = "") -> list[str]:
    """None: the map travels in get_map_data, the traffic manager builds its own cache, there is no walker mesh."""
    return []


@methods.value
def request_file(call: Call[Server], name: str) -> bytes:
    raise CarlaError(f"the embedded world has no file {name!r}")


@methods.value
def get_actor_definitions(call: Call[Server]) -> Wire:
    return [definition.pack() for definition in library().values()]


@methods.exclusive(Envelope.VOID)
def load_new_episode(
    call: Call[Server], name: str, reset_settings: bool = True, layers: int = 0xFFFF
) -> Awaitable[None]:
    return call.server.load_episode(name, reset_settings=reset_settings)


@methods.value
def get_weather_parameters(call: Call[Server]) -> Wire:
    return pack_weather(call.server.weather)


@methods.void
def set_weather_parameters(call: Call[Server], weather: Wire) -> None:
    """Remembered and reported; pictures keep the town's own light."""
    call.server.weather = unpack_weather(weather)


@methods.value
def get_imui_gravity(call: Call[Server]) -> float:
    return call.server.sensors.gravity_m_s2


@methods.void
def set_imui_gravity(call: Call[Server], gravity: float) -> None:
    call.server.sensors.gravity_m_s2 = float(gravity)
