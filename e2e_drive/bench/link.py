"""The radio link over real geometry: cars drive through the embedded towns, rays are cast to the roadside units, and
pings of the link model on these drives stand beside published pings of cars on real roads.

Published: quantiles computed from public driving measurements, as named in `PUBLISHED`. A ping is one small message
there and back every `ping_every_s`; handover gaps and short outages delay it, and one that finds no way within the
link's look-ahead counts as lost, not as slow: measured pings, too, are those that came back.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bev import Pose2D
from carla_bridge.probe import probed_world
from carla_bridge.roadside import RoadsideUnits
from carla_bridge.traffic import Traffic
from carla_bridge.truth import TruthReader
from e2e_drive.errors import UserError
from scheduling.link import LinkTrace, RadioLink
from scheduling.types import LinkGeometry

TICK_S = 0.05
PERIOD_S = 0.1  # between two looks at the roadside units, as between two frames of a car
SETTLE_TICKS = 60  # until the cars roll
LONGEST_S = 1200.0  # of driving in one town
PING_BYTES = 64
QUANTILES = (50.0, 95.0, 99.0, 99.9)
JUDGED = (50.0, 95.0, 99.0)
PUBLISHED = {
    "edge ping RTT, ms": ("NUWiNS, IMC 2023, driving, edge server, n=1,200", (27.7, 44.2, 53.0, 129.0)),
    "cloud ping RTT, ms": ("NUWiNS, IMC 2023, driving, cloud, n=16,460", (68.4, 163.0, 443.0, 1803.0)),
}
PUBLISHED_UPLINK = {5.0: 10.8, 50.0: 35.9, 95.0: 45.9}  # Mbit/s, LTE uplink, driving
_COLUMNS = ("town", "car", "time_s", *(field.name for field in fields(LinkGeometry)))


@dataclass(frozen=True)
class LinkBenchConfig:
    """km: driven at least, all cars and towns together. cars: in each town, of which the first `recorded` carry
    antennas. link_seeds: draws of the link for each recorded drive. read, save: CSV of the recorded geometry."""

    km: float = 12.0
    towns: tuple[str, ...] = ("Gridley", "Larkhill", "Ringwood", "Thornby")
    cars: int = 24
    recorded: int = 8
    link_seeds: int = 8
    ping_every_s: float = 0.2
    seed: int = 0
    read: str | None = None
    save: str | None = None

    def __post_init__(self) -> None:
        if not self.km > 0 or not self.towns or self.link_seeds < 1:
            raise ValueError(f"km, towns and link_seeds must be positive, received {self}")
        if not 1 <= self.recorded <= self.cars:
            raise ValueError(f"recorded must lie between 1 and cars={self.cars}, received {self.recorded}")
        if self.ping_every_s < PERIOD_S:
            raise ValueError(f"ping_every_s must be at least {PERIOD_S}, received {self.ping_every_s}")

    @classmethod
    def from_options(cls, **options: Any) -> LinkBenchConfig:
        """Lists, as configuration files have them, become tuples."""
        tuples: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in options.items()}
        return cls(**tuples)


@dataclass(frozen=True)
class Track:
    """What one car met, every PERIOD_S."""

    town: str
    car: int
    geometry: tuple[LinkGeometry, ...]

    @property
    def km(self) -> float:
        return sum(geometry.speed_mps for geometry in self.geometry) * PERIOD_S / 1000.0


@dataclass
class Measured:
    """Of one or more drives over the link. Pings in ms, uplink in Mbit/s once a PERIOD_S (0: no way)."""

    edge_ms: list[float]
    cloud_ms: list[float]
    up_mbps: list[float]
    lost: int = 0


def run(config: LinkBenchConfig, link: RadioLink) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": one a case and quantile}."""
    tracks = read_tracks(Path(config.read)) if config.read else list(drive(config))
    if config.save:
        write_tracks(Path(config.save), tracks)
    measured = Measured([], [], [])
    work = [(track, seed) for track in tracks for seed in range(config.link_seeds)]
    for number, (track, seed) in enumerate(tqdm(work, desc="link", unit="drive")):
        one = RadioLink(replace(link.config, seed=link.config.seed + 100_003 * seed + number))
        measure(track, one, config.ping_every_s, measured)
    return {"metrics": _metrics(tracks, measured), "rows": _rows(measured)}


def measure(track: Track, link: RadioLink, ping_every_s: float, into: Measured) -> None:
    each = max(1, round(ping_every_s / PERIOD_S))
    for i, geometry in enumerate(track.geometry):
        now_s = i * PERIOD_S
        state = link.step(geometry, now_s, PERIOD_S)
        into.up_mbps.append(state.up_bps / 1e6 if state.available else 0.0)
        if i % each == 0:
            answer = ping(link.truth(), now_s)
            if answer is None:
                into.lost += 1
            else:
                into.edge_ms.append(1000.0 * answer[0])
                into.cloud_ms.append(1000.0 * answer[1])


def ping(trace: LinkTrace, now_s: float) -> tuple[float, float] | None:
    """Seconds until the edge's answer and the cloud's answer to a message sent now; None when it finds no way."""
    sent_s = trace.finish(now_s, PING_BYTES, up=True)
    if math.isinf(sent_s):
        return None
    state = trace.at(sent_s)
    edge_s = sent_s - now_s + state.rtt_s
    return edge_s, edge_s + state.wan_rtt_s


def drive(config: LinkBenchConfig) -> Iterator[Track]:
    """Cars of the TrafficManager in each town, until its share of the kilometres is driven."""
    share_m = 1000.0 * config.km / len(config.towns)
    for town in config.towns:
        with tqdm(total=round(share_m), desc=f"driving in {town}", unit="m") as bar:
            yield from _drive_town(config, town, share_m, bar)


def _drive_town(config: LinkBenchConfig, town: str, share_m: float, bar: tqdm[Any]) -> list[Track]:
    with probed_world(town, config.seed, TICK_S) as probe:
        nowhere = Pose2D(1e6, 1e6, 0.0)  # no ego's start to keep clear of
        traffic = Traffic(probe.client, probe.world, config.cars, config.seed, nowhere)
        try:
            for _ in range(SETTLE_TICKS):
                probe.step()
                traffic.ticked()
            reader, world_map = TruthReader(probe.world), probe.world.get_map()
            cars = {number: probe.world.get_actor(number) for number in traffic.actors[: config.recorded]}
            units = {number: RoadsideUnits(probe.world, world_map) for number in cars}
            met: dict[int, list[LinkGeometry]] = {number: [] for number in cars}
            driven_m, time_s = 0.0, 0.0
            while driven_m < share_m:
                for _ in range(round(PERIOD_S / TICK_S)):
                    probe.step()
                    traffic.ticked()
                alive = probe.world.get_snapshot()
                for number, car in cars.items():
                    if alive.find(number) is None:
                        continue  # TrafficManager takes a car away that is stuck: its drive ends there
                    geometry = units[number].geometry(reader.body(car))
                    met[number].append(geometry)
                    driven_m += geometry.speed_mps * PERIOD_S
                bar.update(round(min(driven_m, share_m)) - bar.n)
                time_s += PERIOD_S
                if time_s > LONGEST_S:
                    raise UserError(f"bench link: {driven_m:.0f} of {share_m:.0f} m driven in {town} in {time_s:.0f} s")
        finally:
            traffic.close()
    return [Track(town, i, tuple(found)) for i, found in enumerate(met.values()) if found]


def write_tracks(path: Path, tracks: Sequence[Track]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for track in tracks:
            for i, geometry in enumerate(track.geometry):
                values = (getattr(geometry, name) for name in _COLUMNS[3:])
                plain = (int(value) if isinstance(value, bool) else value for value in values)
                writer.writerow((track.town, track.car, round(i * PERIOD_S, 3), *plain))


def read_tracks(path: Path) -> list[Track]:
    """As written by `write_tracks`."""
    if not path.is_file():
        raise UserError(f"bench link: read={path}: no such file; save=FILE writes one")
    found: dict[tuple[str, int], list[LinkGeometry]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise UserError(
                f"{path}: columns must be {','.join(_COLUMNS)}, received {','.join(reader.fieldnames or ())}"
            )
        for number, row in enumerate(reader, 2):
            try:
                geometry = LinkGeometry(
                    int(row["rsu"]), float(row["distance_m"]), bool(int(row["line_of_sight"])),
                    int(row["blocking_vehicles"]), float(row["blocker_height_m"]), float(row["speed_mps"]),
                )  # fmt: skip
                found.setdefault((row["town"], int(row["car"])), []).append(geometry)
            except (TypeError, ValueError) as error:
                raise UserError(f"{path}: row {number}: {error}") from error
    if not found:
        raise UserError(f"{path}: holds no drive")
    return [Track(town, car, tuple(geometry)) for (town, car), geometry in found.items()]


def _metrics(tracks: Sequence[Track], measured: Measured) -> dict[str, float]:
    km = sum(track.km for track in tracks)
    looks = [geometry for track in tracks for geometry in track.geometry]
    served = [geometry for geometry in looks if geometry.rsu >= 0]
    changes = sum(a.rsu != b.rsu and a.rsu >= 0 and b.rsu >= 0 for track in tracks for a, b in pairwise(track.geometry))
    sighted = [geometry for geometry in served if geometry.line_of_sight]
    up = np.array(measured.up_mbps)
    metrics = {
        "worst_quantile_factor": max(row["factor"] for row in _rows(measured) if row["judged"]),
        "km": km,
        "driven_s": len(looks) * PERIOD_S,
        "los_share": len(sighted) / max(1, len(served)),
        "blocked_share": sum(geometry.blocking_vehicles > 0 for geometry in sighted) / max(1, len(sighted)),
        "distance_p50_m": float(np.median([geometry.distance_m for geometry in served])) if served else math.nan,
        "handovers_per_km": changes / km,
        "outage_share": float(np.mean(up == 0.0)),
        "pings": float(len(measured.edge_ms)),
        "ping_lost_share": measured.lost / max(1, measured.lost + len(measured.edge_ms)),
        **{f"uplink_p{q}_mbps": float(np.percentile(up, q)) for q in (5, 50, 95)},
    }
    for name, values in (("edge", measured.edge_ms), ("cloud", measured.cloud_ms)):
        metrics |= {f"{name}_rtt_p{q:g}_ms": float(np.percentile(values, q)) for q in QUANTILES}
    return metrics


def _rows(measured: Measured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for (case, (source, published)), values in zip(
        PUBLISHED.items(), (measured.edge_ms, measured.cloud_ms), strict=True
    ):
        for quantile, known in zip(QUANTILES, published, strict=True):
            simulated = float(np.percentile(values, quantile))
            rows.append({
                "case": case, "quantile": f"p{quantile:g}", "simulated": simulated, "published": known,
                "factor": max(simulated / known, known / simulated), "judged": quantile in JUDGED, "source": source,
            })  # fmt: skip
    for quantile, known in PUBLISHED_UPLINK.items():
        simulated = float(np.percentile(measured.up_mbps, quantile))
        rows.append({
            "case": "uplink, Mbit/s", "quantile": f"p{quantile:g}", "simulated": simulated, "published": known,
            "factor": max(simulated / known, known / simulated) if simulated > 0 else math.inf, "judged": False,
            "source": "LTE uplink, driving; 5G mmWave: p50 5.6-8.8, p95 59-126",
        })  # fmt: skip
    return rows
