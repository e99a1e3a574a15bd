"""What `inspect` finds of faults that were put into logs on purpose: precision and recall of every detector.

Thresholds were chosen on recorded drives and on other seeds than those reported (docs/inspect.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from bev import CameraRig
from e2e_drive.bench.faults import FAULTS, MARGIN_S, Fault, cut, inject
from e2e_drive.bench.made_up_drive import write_made_up
from e2e_drive.bench.replay import made_up_recording, made_up_ticks
from e2e_drive.bench.tampering import read_log, write_log
from e2e_drive.errors import UserError
from e2e_drive.inspect import Finding, Kind, detect, scan_log
from e2e_drive.replay.schedules import Outcome, replay_schedules
from scheduling import StageGraph

_TOLERANCE_S = 0.5  # by which finding and fault may miss each other
_CLEAN, _CUT = 0.16, 0.1  # shares of the logs
_MOST = 2  # faults of a log
_WIDTH = 128  # of made-up pictures: half of a real one's, for speed
_RADIOS = 6  # different runs of radio and dispatcher, which take longest; logs share them


@dataclass(frozen=True)
class InspectBenchConfig:
    """logs: how many. seconds: of each. recorded: drives to take parts of instead of made-up ones. seed: of all."""

    logs: int = 50
    seconds: float = 18.0
    recorded: tuple[str, ...] = ()
    seed: int = 0
    keep: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "recorded", tuple(self.recorded))
        if self.logs < 1 or self.seconds < 12.0:
            raise ValueError(f"logs must be positive and seconds at least 12, received {self.logs} and {self.seconds}")


@dataclass
class Tally:
    """Of one kind. wrong: findings that no fault explains. before: those that the untouched log has too."""

    faults: int = 0
    found: int = 0
    right: int = 0
    wrong: int = 0
    before: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.faults if self.faults else float("nan")

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else float("nan")


def run(config: InspectBenchConfig, drive: DictConfig, rig: CameraRig, graph: StageGraph, out: Path) -> dict[str, Any]:
    """drive: the composed configuration of `evaluate`. out: where the logs are written; they stay with keep=true."""
    rng = np.random.default_rng([config.seed, 0x15BEC])
    rig = CameraRig(tuple(replace(camera, width=_WIDTH, height=_WIDTH // 2) for camera in rig.cameras))
    tallies = {kind: Tally() for kind in Kind}
    out.mkdir(parents=True, exist_ok=True)
    kinds = _deal(config.logs, rng)
    radios = [] if config.recorded else _radios(config, drive, rig, graph)
    for index, wanted in enumerate(kinds):
        base, path = out / f"base_{index:02d}.mcap", out / f"log_{index:02d}.mcap"
        log_seed = int(rng.integers(2**31))
        from_s = _write_base(base, config, radios, rig, graph, index, log_seed)
        log = read_log(base, from_s, from_s + config.seconds)
        before: list[Finding] = []
        if config.recorded:
            write_log(log, base)
            before = detect(scan_log(base))
        faults = inject(log, [kind for kind in wanted if kind != Kind.CUT], rng)
        write_log(log, path)
        if Kind.CUT in wanted:
            faults.append(cut(path, float(rng.uniform(0.5, 0.98))))
        scan = scan_log(path)
        for line in match(faults, detect(scan), before, tallies, scan.to_s - MARGIN_S):
            print(f"log {index}: {line}", flush=True)
        for file in () if config.keep else (base, path):
            file.unlink()
    return {"metrics": _metrics(tallies), "rows": [_row(kind.value, tally) for kind, tally in tallies.items()]}


def match(
    faults: Sequence[Fault],
    findings: Sequence[Finding],
    before: Sequence[Finding],
    tallies: dict[Kind, Tally],
    until_s: float = np.inf,
) -> list[str]:
    """Adds up; returns what was missed and what was wrong, a line each. until_s: faults that go on after that, where
    the log was cut, need not be found."""
    said = []
    for fault in (fault for fault in faults if fault.kind == Kind.CUT or fault.to_s <= until_s):
        hit = any(_explains(fault, finding) for finding in findings)
        tallies[fault.kind].faults += 1
        tallies[fault.kind].found += hit
        if not hit:
            said.append(f"missed {fault.kind.value} {fault.from_s:.2f} to {fault.to_s:.2f} s ({fault.what})")
    for finding in findings:
        if any(_explains(fault, finding) for fault in faults):
            tallies[finding.kind].right += 1
        elif any(old.kind == finding.kind and old.evidence == finding.evidence for old in before):
            tallies[finding.kind].before += 1
        else:
            tallies[finding.kind].wrong += 1
            said.append(f"wrong {finding.kind.value} {finding.from_s:.2f} to {finding.to_s:.2f} s: {finding.evidence}")
    return said


def _explains(fault: Fault, finding: Finding) -> bool:
    return (
        fault.kind == finding.kind
        and finding.from_s <= fault.to_s + _TOLERANCE_S
        and finding.to_s >= fault.from_s - _TOLERANCE_S
    )


def _deal(logs: int, rng: np.random.Generator) -> list[list[Kind]]:
    """Kinds of faults for each log, every kind about as often; some logs have none, some are cut."""
    found: list[list[Kind]] = []
    deck: list[Kind] = []
    for i in range(logs):
        if i < round(_CLEAN * logs):
            found.append([])
            continue
        some: list[Kind] = []
        for _ in range(int(rng.integers(1, _MOST + 1))):
            deck = deck or list(rng.permutation(np.array(list(FAULTS), dtype=object)))
            some.append(deck.pop())
        found.append([*some, *([Kind.CUT] if i < round((_CLEAN + _CUT) * logs) else [])])
    return found


def _write_base(
    path: Path,
    config: InspectBenchConfig,
    radios: Sequence[tuple[Outcome, ...]],
    rig: CameraRig,
    graph: StageGraph,
    index: int,
    seed: int,
) -> float:
    """A log to work on; returns the stamp from which on it is to be used."""
    rng = np.random.default_rng(seed)
    if config.recorded:
        source = Path(config.recorded[index % len(config.recorded)])
        scan = scan_log(source)
        if scan.to_s - scan.from_s < config.seconds:
            raise UserError(f"{source} is shorter than inspect_bench.seconds={config.seconds:g}")
        start = float(rng.uniform(scan.from_s, scan.to_s - config.seconds))
        path.write_bytes(source.read_bytes())
        return start
    write_made_up(path, radios[index % _RADIOS], rig, graph, seed, labelled=index % 3 == 2)
    return 0.0


def _radios(
    config: InspectBenchConfig, drive: DictConfig, rig: CameraRig, graph: StageGraph
) -> list[tuple[Outcome, ...]]:
    """What the dispatcher does in cars that pass roadside units in different ways."""
    recording, frames = made_up_recording(drive, rig, graph), round(config.seconds * 10)
    ticks = (made_up_ticks(frames, rig, _RADIOS * config.seed + i) for i in range(min(_RADIOS, config.logs)))
    return [replay_schedules(recording, some, drive).outcomes for some in ticks]


def _metrics(tallies: dict[Kind, Tally]) -> dict[str, float]:
    total = Tally(*(sum(getattr(tally, name) for tally in tallies.values()) for name in Tally.__dataclass_fields__))
    return {"recall": total.recall, "precision": total.precision, **vars(total)}


def _row(name: str, tally: Tally) -> dict[str, Any]:
    return {"detector": name, **vars(tally), "recall": tally.recall, "precision": tally.precision}
