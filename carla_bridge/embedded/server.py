"""The simulator as a server: one episode, stepped by a client (synchronous) or by the clock (asynchronous).

A step is taken at once when it is asked for, so requests keep their order; publishing it (taking pictures, sending)
goes on in the background, one frame after the other. The answer to `tick_cue` comes last, when everything has been
sent: a client that has the answer does not need to wait, spinning, for the snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from carla_bridge.embedded.actors import Actor, ActorKind, load_shapes
from carla_bridge.embedded.blueprints import CLIENT_SIDE_SENSORS, complete, library
from carla_bridge.embedded.messages import ActorDescription, EpisodeSettings
from carla_bridge.embedded.methods import METHODS
from carla_bridge.embedded.render import Renderer
from carla_bridge.embedded.rpc import CarlaError, Connection, bound_socket, listen
from carla_bridge.embedded.sensors.suite import Due, SensorSuite
from carla_bridge.embedded.snapshot import snapshot
from carla_bridge.embedded.stream import Message, Stream, StreamHub
from carla_bridge.embedded.towns import TOWN_NAMES, load_town
from carla_bridge.embedded.towns.prototypes import prototype_meshes
from carla_bridge.embedded.types import Instances, Pose, Town, Weather
from carla_bridge.embedded.world import SpawnError, World

log = logging.getLogger(__name__)

RENDER_THREADS = 2
FREE_RUNNING_STEP_S = 0.05  # [simulated s] in asynchronous mode without a fixed step
# A traffic manager that waits for the next snapshot can miss its wake-up, and hang its client, when the snapshot comes
# right behind the answer to its last get_episode_settings; with this distance between the two it is waiting by then.
TRAFFIC_MANAGER_GAP_S = 0.0015  # [wall s]
SUN = Weather()  # pictures are taken in this light whatever weather a client sets


class Server:
    def __init__(self, town_name: str, seed: int, fixed_delta_s: float | None = None) -> None:
        """fixed_delta_s: start in synchronous mode with this step; None: start in asynchronous mode."""
        self.seed = seed
        self.settings = EpisodeSettings(fixed_delta_s is not None, False, fixed_delta_s)
        self.weather = Weather()
        self.streams = StreamHub()
        self.world_stream = self.streams.open(greet=True)
        self.traffic_managers: dict[int, tuple[str, Connection]] = {}  # port -> (host, who registered it)
        self.settings_answered_at = 0.0  # [wall s] monotonic
        self._shapes = load_shapes()
        self._towns: dict[str, tuple[Town, Renderer]] = {}
        self._pool = ThreadPoolExecutor(RENDER_THREADS, thread_name_prefix="render")
        self._publishing: asyncio.Future[int] | None = None
        self._mode_changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._map_changed = False
        self.town, self._renderer = self._load(town_name)
        self.world = World(self.town, seed, shapes=self._shapes)
        self.sensors = SensorSuite(self.streams, self.town.opendrive)

    # ------------------------------------------------------------------------------------------------ life cycle

    async def serve(self, host: str, port: int, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        rpc_socket = bound_socket(host, port)
        port = rpc_socket.getsockname()[1]
        stream_socket = _next_free_socket(host, port + 1)
        rpc_server, connections = await listen(self, METHODS, rpc_socket, self._forget)
        background = [asyncio.ensure_future(self.streams.serve(stream_socket)), asyncio.ensure_future(self._free_run())]
        await asyncio.sleep(0)  # the streaming port listens from here on
        self._greet_with_snapshot()
        print(f"ready port={port}", flush=True)
        log.info("%s on %s:%d (streams on %d), seed %d", self.town.name, host, port, self.streams.port, self.seed)
        stopping = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a background task only ends with an error
        finally:
            stopping.cancel()
            rpc_server.close()
            for connection in tuple(connections):
                connection.close()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget(self, connection: Connection) -> None:
        """A client that went away takes its traffic managers with it."""
        self.traffic_managers = {p: entry for p, entry in self.traffic_managers.items() if entry[1] is not connection}

    async def load_episode(self, name: str, *, reset_settings: bool) -> None:
        """A new episode in the named town ("" = the current one)."""
        wanted = name.rsplit("/", 1)[-1] or self.town.name
        if wanted not in TOWN_NAMES:
            raise CarlaError(f"map {name!r} not found; the embedded world has: {', '.join(TOWN_NAMES)}")
        loop = asyncio.get_running_loop()
        town, renderer = await loop.run_in_executor(self._pool, self._load, wanted)
        await self.published()
        old = self.world
        self.sensors.clear()
        self._map_changed = town is not self.town  # told with the next step; else clients keep the map they have
        self.town, self._renderer = town, renderer
        self.world = World(town, self.seed, first_id=old.next_id, episode_id=old.episode_id + 1, shapes=self._shapes)
        self.sensors = SensorSuite(self.streams, town.opendrive)
        if reset_settings:
            self.apply_settings(EpisodeSettings())
        self._greet_with_snapshot()

    def apply_settings(self, settings: EpisodeSettings) -> None:
        if settings.fixed_delta_seconds is not None and not 0.0 < settings.fixed_delta_seconds <= 1.0:
            raise CarlaError(f"fixed_delta_seconds must lie in (0, 1], received {settings.fixed_delta_seconds}")
        self.settings = settings
        self._mode_changed.set()

    def _load(self, name: str) -> tuple[Town, Renderer]:
        if name not in self._towns:
            town = load_town(name)
            renderer = Renderer(
                town.mesh,
                prototype_meshes(),
                sun_azimuth_deg=SUN.sun_azimuth_angle,
                sun_altitude_deg=SUN.sun_altitude_angle,
            )
            renderer.warm_up()
            self._towns[name] = town, renderer
        return self._towns[name]

    # ---------------------------------------------------------------------------------------------------- actors

    def spawn(self, description: ActorDescription, pose: Pose, parent_id: int = 0, attachment: int = 0) -> Actor:
        blueprint = library().get(description.id)
        if blueprint is None:
            raise CarlaError(f"spawn failed: the embedded world has no blueprint {description.id!r}")
        if parent_id and parent_id not in self.world.actors:
            raise CarlaError(f"spawn failed: parent actor {parent_id} not found")
        streaming = description.id.startswith("sensor.") and description.id not in CLIENT_SIDE_SENSORS
        stream = self.streams.open() if streaming else None
        attributes = complete(description.id, description.attributes)
        number = None if stream is None else stream.number
        try:
            actor = self.world.spawn(description.id, blueprint.uid, attributes, pose, parent_id, attachment, number)
        except SpawnError as error:
            if number is not None:
                self.streams.close(number)
            raise CarlaError(str(error)) from error
        if stream is not None:
            try:
                self.sensors.add(actor, stream)
            except (CarlaError, ValueError) as error:
                self.destroy(actor.id)
                raise CarlaError(f"spawn failed: {error}") from error
        return actor

    def destroy(self, actor_id: int) -> bool:
        gone = self.world.actors.get(actor_id)
        if gone is None or gone.kind in (ActorKind.TRAFFIC_LIGHT, ActorKind.SPECTATOR):
            return False
        destroyed = self.world.destroy(actor_id)
        self.sensors.remove(actor_id)
        return destroyed

    # --------------------------------------------------------------------------------------------------- stepping

    def step(self) -> asyncio.Future[int]:
        """Step the world now; the result is the frame's number, once its data have been sent."""
        self.world.step(self.settings.fixed_delta_seconds or FREE_RUNNING_STEP_S)
        due = self.sensors.after_step(self.world, rendering=not self.settings.no_rendering_mode)
        payload = self._snapshot()
        instances = self.world.instances() if due.shots else None
        before = self._publishing
        self._publishing = asyncio.ensure_future(self._publish(self.world.frame, due, instances, payload, before))
        return self._publishing

    async def published(self) -> None:
        if self._publishing is not None:
            await asyncio.wait([self._publishing])

    async def _publish(
        self,
        frame_number: int,
        due: Due,
        instances: Instances | None,
        payload: bytes,
        before: asyncio.Future[int] | None,
    ) -> int:
        asked_at = time.monotonic()
        messages = due.messages
        if instances is not None:
            messages = [*messages, *await self._take(due, instances)]
        if before is not None and not before.done():
            await asyncio.wait([before])
        synchronous = self.settings.synchronous_mode
        for stream, message in messages:
            stream.send(message, drop_for_slow_readers=not synchronous)
        if synchronous:
            for stream, _ in messages:
                await stream.flushed()
        await self._traffic_managers_wait(asked_at)
        self.world_stream.send((payload,), drop_for_slow_readers=False)
        return frame_number

    async def _take(self, due: Due, instances: Instances) -> list[tuple[Stream, Message]]:
        loop = asyncio.get_running_loop()
        renderer = self._renderer
        frame = await loop.run_in_executor(self._pool, renderer.begin_frame, instances)
        taking = (loop.run_in_executor(self._pool, shot.take, renderer, frame) for shot in due.shots)
        pictures = await asyncio.gather(*taking)
        return [(shot.stream, picture) for shot, picture in zip(due.shots, pictures, strict=True)]

    async def _traffic_managers_wait(self, asked_at: float) -> None:
        while self.traffic_managers:
            wait_s = max(asked_at, self.settings_answered_at) + TRAFFIC_MANAGER_GAP_S - time.monotonic()
            if wait_s <= 0.0:
                return
            await asyncio.sleep(wait_s)

    def _snapshot(self) -> bytes:
        payload = snapshot(self.world, time.time(), map_changed=self._map_changed)
        self._map_changed = False
        return payload

    def _greet_with_snapshot(self) -> None:
        """Who subscribes from now on starts with the world as it stands; who listens already sees the next step.

        A client that loads a world subscribes anew. A message on its old subscription would reach an episode that it is
        just taking down, and it may crash then.
        """
        self.world_stream.latest = (snapshot(self.world, time.time(), map_changed=False),)

    async def _free_run(self) -> None:
        """Asynchronous mode: steps by the wall clock while someone watches."""
        while True:
            if self.settings.synchronous_mode:
                self._mode_changed.clear()
                await self._mode_changed.wait()
                continue
            started = time.monotonic()
            if self.world_stream.wanted:
                await self.step()
            delta_s = self.settings.fixed_delta_seconds or FREE_RUNNING_STEP_S
            with contextlib.suppress(asyncio.TimeoutError):
                self._mode_changed.clear()
                await asyncio.wait_for(self._mode_changed.wait(), max(0.0, started + delta_s - time.monotonic()))


def _next_free_socket(host: str, port: int) -> socket.socket:
    """Bound to the port, or to any free one when it is taken: clients learn the streaming port from tokens."""
    try:
        return bound_socket(host, port if port < 65536 else 0)
    except OSError:
        return bound_socket(host, 0)
