"""The simulator as a server: one episode, stepped by a client (synchronous) or by the clock (asynchronous).

A step is taken at once when it is asked for, so requests keep their order; publishing it (taking pictures, sending)
goes on in the background, one frame after the other. The answer to `tick_cue` comes last, when everything has been
sent: a client that has the answer does not need to wait, spinning, for the snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from carla_bridge.embedded.actors import Actor, ActorKind, load_shapes
from carla_bridge.embedded.atlas import GENERATED, Atlas, Scene, in_a_thread
from carla_bridge.embedded.blueprints import CLIENT_SIDE_SENSORS, complete, library
from carla_bridge.embedded.debug import DebugBoard, DebugShape, draw
from carla_bridge.embedded.lamps import StreetLights
from carla_bridge.embedded.messages import LIGHT_UPDATE, MAP_CHANGE, ActorDescription, EpisodeSettings, SensorType
from carla_bridge.embedded.methods import METHODS
from carla_bridge.embedded.navmesh import NavigationFile
from carla_bridge.embedded.once import Once
from carla_bridge.embedded.rays import RayScene
from carla_bridge.embedded.recordings import RecordedActor
from carla_bridge.embedded.render import Frame, Renderer
from carla_bridge.embedded.render.weather import understood
from carla_bridge.embedded.rpc import CarlaError, Connection, Prompt, bound_socket, listen
from carla_bridge.embedded.sensors.cameras import Shot
from carla_bridge.embedded.sensors.suite import Due, SensorSuite
from carla_bridge.embedded.snapshot import snapshot, without_news
from carla_bridge.embedded.stream import Message, Stream, StreamHub
from carla_bridge.embedded.tapes import Tapes, default_folder
from carla_bridge.embedded.traffic_managers import SETTINGS_WAIT_S, TrafficManagers
from carla_bridge.embedded.types import Instances, Pose, Weather
from carla_bridge.embedded.world import SpawnError, World

log = logging.getLogger(__name__)
once = Once(log)

RENDER_THREADS = 2
SUBSCRIBING_LIMIT_S = 0.5  # [wall s] for a client that has loaded a world
FREE_RUNNING_STEP_S = 0.05  # [simulated s] in asynchronous mode without a fixed step


class Server:
    def __init__(
        self,
        town_name: str,
        seed: int,
        fixed_delta_s: float | None = None,
        *,
        opendrive: str | None = None,
        recordings: Path | None = None,
    ) -> None:
        """fixed_delta_s: start in synchronous mode with this step; None: start in asynchronous mode.

        opendrive: start in the town built from this text, and not in the named one. recordings: the folder for them.
        """
        self.seed = seed
        self.atlas = Atlas(seed)
        self.settings = EpisodeSettings(fixed_delta_s is not None, False, fixed_delta_s)
        self.weather = Weather()
        self.streams = StreamHub()
        self.world_stream = self.streams.open(greet=True)
        self.traffic_managers = TrafficManagers()
        self._ticks: deque[Prompt[int]] = deque()  # asked for, not taken yet
        self._shapes = load_shapes()
        self._loading = asyncio.Lock()
        self._loader: Connection | None = None  # who has loaded this episode and is not back in it yet
        self._pool = ThreadPoolExecutor(RENDER_THREADS, thread_name_prefix="render")
        self._publishing: asyncio.Future[int] | None = None
        self._mode_changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._map_changed = False
        if opendrive is not None:
            self.atlas.set_opendrive(opendrive)
        self._scene = self.atlas.scene(self.atlas.resolve(town_name if opendrive is None else GENERATED))
        self.town = self._scene.town
        self.world = World(self.town, seed, shapes=self._shapes)
        self.sensors = SensorSuite(self.streams, self.town.opendrive)
        self.street_lights = StreetLights(self.town.lamps, self.weather.sun_altitude_angle)
        self.drawings = DebugBoard()
        self.tapes = Tapes(recordings or default_folder(), self._spawn_recorded)

    @property
    def rays(self) -> RayScene:
        """What rays meet in the current town."""
        return self._scene.rays

    @property
    def navigation(self) -> NavigationFile | None:
        """Where pedestrians walk in the current town; None: nowhere."""
        return self._scene.navigation

    # ------------------------------------------------------------------------------------------------ life cycle

    async def serve(self, host: str, port: int, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        rpc_socket = bound_socket(host, port)
        port = rpc_socket.getsockname()[1]
        stream_socket = _next_free_socket(host, port + 1)
        rpc_server, connections = await listen(self, METHODS, rpc_socket, self._forget)
        running = (self.streams.serve(stream_socket), self._free_run(), self.traffic_managers.watch())
        background = [asyncio.ensure_future(work) for work in running]
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
            self.tapes.stop_recorder()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget(self, connection: Connection) -> None:
        """A client that went away takes its traffic managers with it, and the tokens that it has not used."""
        self.streams.forget(connection)
        self.settle(connection)
        self.traffic_managers.forget(connection)

    async def load_episode(self, name: str, loader: Connection, *, reset_settings: bool) -> None:
        """A new episode in the named town ("" = the current one). May be cancelled until the old one ends.

        Nothing moves then until the client that has loaded it subscribes anew: a snapshot that reaches its old
        subscription, which it is just taking down, can crash it.
        """
        async with self._loading:  # one after the other
            wanted = self.atlas.resolve(name) if name else ""
            first_id = self.world.next_id
            scene, world = await in_a_thread(lambda: self._new_episode(wanted, first_id))
            await self.published()
            if self.world.next_id != first_id:  # somebody spawned actors meanwhile, and ids are never used twice
                world = self._new_world(scene, self.world.next_id)
            self.sensors.clear()
            self.tapes.end_episode()
            self._map_changed |= scene.town is not self.town  # told with the next step; else clients keep their map
            self._scene, self.town, self.world = scene, scene.town, world
            self.sensors = SensorSuite(self.streams, self.town.opendrive)
            self.weather = Weather()
            self.street_lights = StreetLights(self.town.lamps, self.weather.sun_altitude_angle)
            self.drawings = DebugBoard()
            if reset_settings:
                self.apply_settings(EpisodeSettings())
            self._greet_with_snapshot()
            self._loader = loader
            asyncio.get_running_loop().call_later(SUBSCRIBING_LIMIT_S, self.settle, loader)

    def settle(self, loader: Connection) -> None:
        """A client subscribes to the world; if it is the one that has loaded it, time goes on."""
        if self._loader is loader:
            self._loader = None
            self._mode_changed.set()
            if self._ticks:
                self._step_for(self._ticks[-1])

    def _new_episode(self, town_name: str, first_id: int) -> tuple[Scene, World]:
        scene = self.atlas.scene(town_name) if town_name else self._scene
        return scene, self._new_world(scene, first_id)

    def _new_world(self, scene: Scene, first_id: int) -> World:
        episode_id = self.world.episode_id + 1
        return World(scene.town, self.seed, first_id=first_id, episode_id=episode_id, shapes=self._shapes)

    def set_weather(self, weather: Weather) -> None:
        self.weather = weather
        self.street_lights.follow(understood(weather).sun_altitude_angle)

    def apply_settings(self, settings: EpisodeSettings) -> None:
        if settings.fixed_delta_seconds is not None and not 0.0 < settings.fixed_delta_seconds <= 1.0:
            raise CarlaError(f"fixed_delta_seconds must lie in (0, 1], received {settings.fixed_delta_seconds}")
        self.settings = settings
        self._mode_changed.set()

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
        if gone is None or gone.kind in (ActorKind.TRAFFIC_LIGHT, ActorKind.SIGN, ActorKind.SPECTATOR):
            return False
        destroyed = self.world.destroy(actor_id)
        self.sensors.remove(actor_id)
        return destroyed

    def _spawn_recorded(self, recorded: RecordedActor) -> Actor | None:
        try:
            description = ActorDescription(recorded.uid, recorded.type_id, dict(recorded.attributes))
            return self.spawn(description, recorded.pose)
        except CarlaError:
            return None

    # --------------------------------------------------------------------------------------------------- stepping

    def tick(self, connection: Connection) -> asyncio.Future[int]:
        """A client's tick: a step, now or, with traffic managers about, in a moment.

        A traffic manager asks for the settings about when its client asks for the next tick. The gap behind the answer
        lasts longer than the step: answering first lets the two overlap.
        """
        ticked: Prompt[int] = Prompt()
        if self.traffic_managers:
            self.traffic_managers.tick_asked(connection)
            ticked.add_done_callback(lambda _: self.traffic_managers.tick_told(connection))
        expected = self.traffic_managers.settings_expected
        if not expected and self._loader is None:
            return self.step(ticked)
        self._ticks.append(ticked)
        if self._loader is None:
            asyncio.get_running_loop().call_later(SETTINGS_WAIT_S, self._step_for, ticked)
        return ticked

    def settings_asked(self) -> None:
        """Called with the answer to a traffic manager's question."""
        self.traffic_managers.settings_asked()
        if self._ticks:
            asyncio.get_running_loop().call_soon(self._step_for, self._ticks[-1])

    def _step_for(self, last: Prompt[int]) -> None:
        """Take the steps that clients wait for, up to this one."""
        while last in self._ticks and self._loader is None:
            ticked = self._ticks.popleft()
            try:
                self.step(ticked)
            except Exception as error:  # boundary: the client is told
                ticked.set_exception(error)

    def step(self, told: Prompt[int] | None = None) -> asyncio.Future[int]:
        """Step the world now; the result is the frame's number, once its data have been sent."""
        asked_at = time.monotonic()
        delta_s = self.settings.fixed_delta_seconds or FREE_RUNNING_STEP_S
        self.tapes.before_step(delta_s)
        self.world.step(delta_s)
        self.tapes.after_step()
        due = self.sensors.after_step(self.world, rendering=not self.settings.no_rendering_mode)
        payload = self._snapshot()
        instances = self.world.instances() if due.shots or due.echoes else None
        drawings = self.drawings.visible(self.world.frame, self.world.elapsed_s)
        before, told = self._publishing, told or Prompt()
        self._publishing = told
        if instances is None and (before is None or before.done()):
            self._publish_now(told, due, payload, asked_at)
        else:
            publishing = asyncio.ensure_future(
                self._publish(self.world.frame, due, instances, drawings, payload, before, asked_at)
            )
            publishing.add_done_callback(functools.partial(_pass_on, told))
        return told

    async def published(self) -> None:
        if self._publishing is not None:
            await asyncio.wait([self._publishing])  # which a cancelled waiter does not cancel

    def _publish_now(self, told: Prompt[int], due: Due, payload: bytes, asked_at: float) -> None:
        """A frame without pictures: no detour over tasks, which would cost as much as a small world's step."""
        frame_number, loop = self.world.frame, asyncio.get_running_loop()
        slow = self._send(due.messages)
        if slow:
            finishing = asyncio.ensure_future(self._finish(frame_number, slow, payload, asked_at))
            finishing.add_done_callback(functools.partial(_pass_on, told))
            return

        def finish() -> None:
            wait_s = self.traffic_managers.wait_s(asked_at)
            if wait_s > 0.0:
                loop.call_later(wait_s, finish)
                return
            self._send_snapshot(payload)
            told.tell(frame_number)

        finish()

    async def _publish(
        self,
        frame_number: int,
        due: Due,
        instances: Instances | None,
        drawings: tuple[DebugShape, ...],
        payload: bytes,
        before: asyncio.Future[int] | None,
        asked_at: float,
    ) -> int:
        messages = due.messages
        if instances is not None:
            messages = [*messages, *await self._take(due, instances, drawings)]
        if before is not None and not before.done():
            await asyncio.wait([before])
        return await self._finish(frame_number, self._send(messages), payload, asked_at)

    def _send(self, messages: list[tuple[Stream, Message]]) -> list[Stream]:
        """Hand messages to their streams; those whose readers are to be waited for."""
        synchronous = self.settings.synchronous_mode
        for stream, message in messages:
            stream.send(message, drop_for_slow_readers=not synchronous)
        return [stream for stream, _ in messages if synchronous and stream.busy]

    async def _finish(self, frame_number: int, slow: list[Stream], payload: bytes, asked_at: float) -> int:
        for stream in slow:
            await stream.flushed()
        while (wait_s := self.traffic_managers.wait_s(asked_at)) > 0.0:
            await asyncio.sleep(wait_s)
        self._send_snapshot(payload)
        return frame_number

    def _send_snapshot(self, payload: bytes) -> None:
        self.traffic_managers.snapshot_sent()
        self.world_stream.send((payload,), drop_for_slow_readers=False)
        # News for those who were there: a client that is told of a change in its very first snapshot may crash.
        self.world_stream.latest = (without_news(payload),)

    async def _take(
        self, due: Due, instances: Instances, drawings: tuple[DebugShape, ...]
    ) -> list[tuple[Stream, Message]]:
        loop = asyncio.get_running_loop()
        renderer, weather, lamps = self._scene.renderer, self.weather, self.street_lights.active()
        taking: list[asyncio.Future[Message | None]] = []
        if due.echoes:
            rays = self.rays
            moment = await loop.run_in_executor(self._pool, rays.frame, instances)
            taking += [loop.run_in_executor(self._pool, echo.take, rays, moment) for echo in due.echoes]
        if due.shots:
            frame = await loop.run_in_executor(
                self._pool, lambda: renderer.begin_frame(instances, renderer.light_of(weather, lamps))
            )
            taking += [loop.run_in_executor(self._pool, _taken, shot, renderer, frame, drawings) for shot in due.shots]
        streams = [*(echo.stream for echo in due.echoes), *(shot.stream for shot in due.shots)]
        messages = zip(streams, await asyncio.gather(*taking), strict=True)
        return [(stream, message) for stream, message in messages if message is not None]

    def _snapshot(self) -> bytes:
        state = (MAP_CHANGE if self._map_changed else 0) | (LIGHT_UPDATE if self.street_lights.changed else 0)
        self._map_changed = self.street_lights.changed = False
        return snapshot(self.world, time.time(), state)

    def _greet_with_snapshot(self) -> None:
        """Who subscribes from now on starts with the world as it stands; who listens already sees the next step.

        A client that loads a world subscribes anew. A message on its old subscription would reach an episode that it is
        just taking down, and it may crash then.
        """
        self.world_stream.latest = (snapshot(self.world, time.time()),)

    async def _free_run(self) -> None:
        """Asynchronous mode: steps by the wall clock while someone watches."""
        while True:
            if self.settings.synchronous_mode:
                self._mode_changed.clear()
                await self._mode_changed.wait()
                continue
            started = time.monotonic()
            if self.world_stream.wanted and self._loader is None:
                try:
                    await self.step()
                except Exception as error:  # boundary: clients see a frame less; what they may have asked for goes on
                    once.warn(("step", type(error)), "a step failed: %s: %s", type(error).__name__, error)
            delta_s = self.settings.fixed_delta_seconds or FREE_RUNNING_STEP_S
            with contextlib.suppress(asyncio.TimeoutError):
                self._mode_changed.clear()
                await asyncio.wait_for(self._mode_changed.wait(), max(0.0, started + delta_s - time.monotonic()))


def _pass_on(told: Prompt[int], done: asyncio.Future[int]) -> None:
    if done.cancelled():
        told.cancel()
    elif (error := done.exception()) is not None:
        told.set_exception(error)
    else:
        told.tell(done.result())


def _taken(shot: Shot, renderer: Renderer, frame: Frame, drawings: tuple[DebugShape, ...]) -> Message:
    """A picture with what clients have drawn into the world."""
    message = shot.take(renderer, frame)
    if drawings and shot.kind is SensorType.RGB:
        shape = (shot.view.height, shot.view.width, 4)
        draw(np.frombuffer(message[-1], np.uint8).reshape(shape), shot.view, drawings)
    return message


def _next_free_socket(host: str, port: int) -> socket.socket:
    """Bound to the port, or to any free one when it is taken: clients learn the streaming port from tokens."""
    try:
        return bound_socket(host, port if port < 65536 else 0)
    except OSError:
        return bound_socket(host, 0)
