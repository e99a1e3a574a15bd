"""`e2e-drive export-log log=... to=parquet|lerobot|rerun`: logs in formats that others read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from e2e_drive.errors import UserError
from e2e_drive.exchange.lerobot import write_lerobot
from e2e_drive.exchange.rerun_recording import write_rerun
from e2e_drive.exchange.summary import write_parquet
from e2e_drive.replay import Recording, open_recording

_OUT = {"parquet": "outputs/drives.parquet", "lerobot": "outputs/lerobot", "rerun": "outputs/drive.rrd"}


def run(cfg: DictConfig) -> int:
    if cfg.to not in _OUT:
        raise UserError(f"to must be one of {', '.join(_OUT)}, received {cfg.to!r}")
    recordings = [open_recording(path) for path in _paths(cfg.log)]
    out = Path(str(cfg.out)) if cfg.out is not None else Path(_OUT[cfg.to])
    with tqdm(unit="frame", desc=str(cfg.to), dynamic_ncols=True, leave=False, disable=None) as bar:
        count = _WRITE[cfg.to](recordings, out, lambda: bar.update(1))
    for recording in recordings:
        if not recording.end.is_whole:
            last_s = max((tick.frame.time_s for tick in recording.ticks(pictures=False)), default=0.0)
            print(recording.missing(last_s), file=sys.stderr)
    what = "pictures" if cfg.to == "rerun" else "frames"
    print(f"{out}: {count} {what} of {len(recordings)} drive{'' if len(recordings) == 1 else 's'}")
    return 0


def _paths(log: object) -> list[Path]:
    paths = [Path(str(path)) for path in log] if isinstance(log, ListConfig) else [Path(str(log))]
    if not paths or len(set(paths)) != len(paths):
        raise UserError(f"log must be one or more different logs, received {[str(path) for path in paths]}")
    return paths


def _rerun(recordings: Sequence[Recording], out: Path, done: Callable[[], object]) -> int:
    if len(recordings) != 1:
        raise UserError(f"to=rerun takes one log, received {len(recordings)}: run it once a log")
    return write_rerun(recordings[0], out, done)


_WRITE: dict[str, Callable[[Sequence[Recording], Path, Callable[[], object]], int]] = {
    "parquet": lambda recordings, out, done: write_parquet(recordings, out),
    "lerobot": write_lerobot,
    "rerun": _rerun,
}
