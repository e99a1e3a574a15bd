"""Which towns this world can show, under which names, and the scenes made of them: loading is slow and runs in a thread
of its own, so that every client is served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from carla_bridge.embedded import towns
from carla_bridge.embedded.aliases import alias_of, moved
from carla_bridge.embedded.navmesh import NavigationFile, navigation_file
from carla_bridge.embedded.once import Once
from carla_bridge.embedded.rays import RayScene
from carla_bridge.embedded.render import Renderer
from carla_bridge.embedded.rpc import CarlaError
from carla_bridge.embedded.towns.prototypes import prototype_meshes
from carla_bridge.embedded.towns.site import TownError
from carla_bridge.embedded.types import Town

T = TypeVar("T")
log = logging.getLogger(__name__)
once = Once(log)

GENERATED = "OpenDriveMap"  # how CARLA names a world made of a client's OpenDRIVE text
SCENES_KEPT = 4
LOADING_SWITCH_INTERVAL_S = 0.0005  # the thread that loads yields to the clients this often


@dataclass(frozen=True)
class Scene:
    """A town with what draws it, what rays meet in it, and where its pedestrians walk."""

    town: Town
    renderer: Renderer
    rays: RayScene
    navigation: NavigationFile | None


class Atlas:
    """Scenes by name; the last few are kept."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        self._opendrive: str | None = None  # of the world that is called GENERATED
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        return list(towns.TOWN_NAMES)

    def resolve(self, name: str) -> str:
        """The last part of a map's path, if there is such a town or one that can take its place; else CarlaError."""
        short = name.replace("\\", "/").rsplit("/", 1)[-1]
        if towns.is_town(short) or (short == GENERATED and self._opendrive is not None):
            return short
        alias = alias_of(short)
        if alias is None:
            raise CarlaError(f"map {short[:80]!r} not found; the embedded world has: {towns.KNOWN}")
        once.warn(("alias", short), "%s is not here: %s takes its place", short, alias.town)
        return short.removesuffix("_Opt") if alias.moves else alias.town

    def set_opendrive(self, text: str) -> None:
        """The road network that GENERATED stands for from now on."""
        self._opendrive = text

    def scene(self, name: str) -> Scene:
        """Slow unless it is one of the last few; CarlaError for a road network that no town can be built from."""
        with self._lock:
            text = self._opendrive if name == GENERATED else None
            key = name if text is None else f"{name} {hashlib.sha256(text.encode()).hexdigest()}"
            if key not in self._scenes:
                self._scenes[key] = self._made(name, text)
            self._scenes.move_to_end(key)
            while len(self._scenes) > SCENES_KEPT:
                self._scenes.popitem(last=False)
            return self._scenes[key]

    def _made(self, name: str, text: str | None) -> Scene:
        try:
            town = _town(name) if text is None else towns.load_opendrive(name, text, seed=self._seed)
        except TownError as error:
            raise CarlaError(f"no town can be built from this OpenDRIVE: {error}") from error
        with ThreadPoolExecutor(1) as helper:
            navigation = helper.submit(navigation_file, town)
            renderer = Renderer(town.mesh, prototype_meshes(), lamps=town.lamps)
            renderer.warm_up()
            rays = RayScene(town.mesh, prototype_meshes())
            rays.warm_up()
            return Scene(town, renderer, rays, navigation.result())


def _town(name: str) -> Town:
    alias = alias_of(name)
    if alias is None:
        return towns.load_town(name)
    town = towns.load_town(alias.town)
    return moved(town, alias.east_m, alias.south_m)


async def in_a_thread(work: Callable[[], T]) -> T:
    """The result of slow work, done in a thread that does not keep the process alive.

    Cancelling drops the result; the thread, which cannot be stopped, ends by itself.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # handed to whoever awaits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is gone: the server has been stopped meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(LOADING_SWITCH_INTERVAL_S)
    try:
        threading.Thread(target=run, name="loading", daemon=True).start()
        return await future
    finally:
        sys.setswitchinterval(interval_s)
