"""The recorder and the player of one server: at most one recording is made, and one played, at a time."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from carla_bridge.embedded.recordings import Recorder, Recording, path_of
from carla_bridge.embedded.replay import Replay, Spawn
from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.world import World

log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Where recordings go unless told otherwise: the user's data folder (XDG Base Directory Specification)."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "e2e-drive" / "recordings"


class Tapes:
    def __init__(self, folder: Path, spawn: Spawn) -> None:
        self.folder = folder
        self.time_factor = 1.0
        self.ignore_hero = False
        self._spawn = spawn
        self._recorder: Recorder | None = None
        self._replay: Replay | None = None

    def before_step(self, delta_s: float) -> None:
        if self._replay is not None:
            self._replay.time_factor = self.time_factor
            self._replay.advance(delta_s)

    def after_step(self) -> None:
        if self._replay is not None and self._replay.over:
            self.stop_replay(keep_actors=True)
        if self._recorder is None:
            return
        try:
            going_on = self._recorder.frame()
        except OSError as error:
            log.warning("the recording ends here: %s", error)
            going_on = False
        if not going_on:
            self.stop_recorder()

    def start_recorder(self, name: str, world: World) -> Path:
        """RecordingError for a name or a folder that cannot be; a recording under way ends."""
        path = path_of(self.folder, name)
        self.stop_recorder()
        self._recorder = Recorder(path, world)
        return path

    def stop_recorder(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def flush(self) -> None:
        """Put what has been recorded so far where it can be read."""
        if self._recorder is not None:
            self._recorder.flush()

    def start_replay(
        self, recording: Recording, world: World, start_s: float, duration_s: float, follow: int, offset: Pose
    ) -> Replay:
        self.stop_replay(keep_actors=False)
        self._replay = Replay(
            recording,
            world,
            self._spawn,
            start_s=start_s,
            duration_s=duration_s,
            follow=follow,
            offset=offset,
            ignore_hero=self.ignore_hero,
        )
        return self._replay

    def stop_replay(self, *, keep_actors: bool) -> None:
        if self._replay is not None:
            self._replay.stop(keep_actors=keep_actors)
            self._replay = None

    def end_episode(self) -> None:
        self._replay = None
        self.stop_recorder()
