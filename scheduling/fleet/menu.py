"""The schedules a car of the fleet may choose from: every prefix of the network on the car, the rest remote, with
every codec and precision; only those that no other one beats in every respect.

A menu is far smaller than the space that the single-car solver searches (contiguous cuts, one precision a computer,
one codec for tensors of a kind), and its latency is the plain sum of its parts: transfers do not overlap with stages.
It is what makes ten thousand decisions a frame cheap; see docs/fleet.md for what that leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduling.budget import ComputeBudget
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.compiled import critical_stages, raw_tensor_bytes
from scheduling.fleet.config import RiskConfig
from scheduling.types import ModelVariant, Place, StageNode

Floats = npt.NDArray[np.float64]

# What running the whole network at a precision is worth, in seconds of latency (a preference, not a measurement);
# a stage pays by its share of the FLOPs.
PRECISION_PRICE_S: Mapping[str, float] = {"int8": 2e-3}


@dataclass(frozen=True)
class MenuEntry:
    """One schedule. tier: where the suffix runs (CAR: the complete run on the car). Seconds are alone on the computer
    and, for the car, without other tenants."""

    name: str
    tier: Place
    car_s: float  # prefix on the car
    codec_s: float  # encoding and decoding of everything that crosses
    up_bytes: float
    down_bytes: float
    remote_s: float  # suffix on the edge server or in the cloud
    car_j: float
    quality_s: float  # prices of model size, precisions and codecs
    fallback_quality_s: float = 0.0  # what an answer of the fallback model costs more than one of this schedule's

    def burdens(self, risk: RiskConfig) -> tuple[float, ...]:
        """An entry that is no worse in all of these has no larger objective, whatever the radio, the car's tenants and
        the prices: what is paid in any case, and when the fallback answers for certain (in between it is linear); the
        prefix; the latency that does not depend on the radio (with more tenants the prefix only weighs more); what is
        asked of cell and edge server."""
        paid = self.quality_s + risk.per_joule_s * self.car_j + risk.per_byte_s * (self.up_bytes + self.down_bytes)
        latency = self.car_s + self.codec_s + self.remote_s
        edge_s = self.remote_s if self.tier is Place.EDGE else 0.0
        return paid, paid + self.fallback_quality_s, self.car_s, latency, self.up_bytes, self.down_bytes, edge_s


class MenuArrays(NamedTuple):
    """Entries as flat arrays (K,), for numba. Entry 0 is the fallback model's complete run on the car."""

    tier: npt.NDArray[np.int64]
    car_s: Floats
    codec_s: Floats
    up_bits: Floats
    down_bits: Floats
    remote_s: Floats
    car_j: Floats
    quality_s: Floats
    fallback_quality_s: Floats


@dataclass(frozen=True)
class Menu:
    """entries[0] is the last resort: the fallback model's complete run on the car, at the car's fastest precision."""

    entries: tuple[MenuEntry, ...]

    def __post_init__(self) -> None:
        if not self.entries or self.entries[0].tier is not Place.CAR or self.entries[0].car_s <= 0:
            raise ValueError(f"a menu starts with the fallback's complete run on the car, received {self.entries[:1]}")

    @property
    def local_s(self) -> float:
        """Seconds of the fallback's complete run, without other tenants."""
        return self.entries[0].car_s

    @property
    def arrays(self) -> MenuArrays:
        def column(name: str, factor: float = 1.0) -> Floats:
            return np.array([factor * getattr(entry, name) for entry in self.entries])

        return MenuArrays(
            np.array([int(entry.tier) for entry in self.entries], np.int64),
            column("car_s"), column("codec_s"), column("up_bytes", 8.0), column("down_bytes", 8.0),
            column("remote_s"), column("car_j"), column("quality_s"), column("fallback_quality_s"),
        )  # fmt: skip


def build_menu(
    models: Sequence[ModelVariant],
    computers: Sequence[ComputeBudget],
    fallback: int = -1,
    period_s: float = 0.1,
    precision_price_s: Mapping[str, float] = PRECISION_PRICE_S,
    risk: RiskConfig | None = None,
) -> Menu:
    """computers: car, edge and perhaps cloud, by `Place`. risk: the weights that decide which entries are dominated."""
    last_resort, *found = all_entries(models, computers, fallback, period_s, precision_price_s)
    return Menu((last_resort, *_undominated(found, last_resort, risk or RiskConfig())))


def all_entries(
    models: Sequence[ModelVariant],
    computers: Sequence[ComputeBudget],
    fallback: int = -1,
    period_s: float = 0.1,
    precision_price_s: Mapping[str, float] = PRECISION_PRICE_S,
) -> list[MenuEntry]:
    """The last resort, then every schedule that breaks no limit of memory or power, dominated ones included."""
    if not models or not 2 <= len(computers) <= len(Place):
        raise ValueError(f"a menu needs a model and 2 or 3 computers, received {len(models)} and {len(computers)}")
    states = sorted({name for model in models for name in model.graph.states})
    if states:
        raise ValueError(
            "a fleet's menu knows no recurrent tensors (they would have to follow the car from server to server), "
            f"received {states}"
        )
    car, spare = computers[Place.CAR], models[fallback]
    if not _fits(_critical(spare), car):
        raise ValueError(f"{car.name}: the fallback {spare.name!r} needs more memory than {car.memory_bytes:.3g} bytes")
    fastest = min(car.precisions, key=lambda precision: _seconds(_critical(spare), car, precision))
    last_resort = _complete(spare, car, fastest, precision_price_s)
    found = [_complete(model, car, p, precision_price_s) for model in models for p in car.precisions]
    enough_j = car.power_cap_w * period_s
    for model in models:
        for tier in (Place.EDGE, Place.CLOUD)[: len(computers) - 1]:
            cuts = _cuts(model, spare, car, computers[tier], tier, precision_price_s, last_resort.quality_s)
            found += [entry for entry in cuts if entry.car_j + last_resort.car_j <= enough_j]
    return [last_resort, *found]


def _undominated(found: Sequence[MenuEntry], last_resort: MenuEntry, risk: RiskConfig) -> list[MenuEntry]:
    """Without entries that another one on the same tier beats or equals in every burden."""
    kept: list[MenuEntry] = []
    for tier in Place:
        # Sorted so that nobody is beaten by a later one.
        listed = sorted((sum(e.burdens(risk)), e.burdens(risk), i) for i, e in enumerate(found) if e.tier is tier)
        front = np.array([last_resort.burdens(risk)])[: tier is Place.CAR]
        for _, burden, i in listed:
            if not (front <= np.array(burden)).all(axis=1).any():
                front = np.vstack([front, burden])
                kept.append(found[i])
    return kept


def _critical(model: ModelVariant) -> list[StageNode]:
    names = critical_stages(model.graph)
    return [stage for stage in model.graph.stages if stage.name in names]


def _seconds(stages: Sequence[StageNode], computer: ComputeBudget, precision: str) -> float:
    return sum(computer.alone_seconds(stage.cost, precision) for stage in stages)


def _fits(stages: Sequence[StageNode], computer: ComputeBudget, also: Sequence[StageNode] = ()) -> bool:
    """Weights of both lists plus the largest working set, at 4 bytes a number as traced."""
    weights = sum(stage.cost.parameter_bytes for stage in {s.name: s for s in (*also, *stages)}.values())
    return weights + max((s.cost.working_bytes for s in (*stages, *also)), default=0.0) <= computer.memory_bytes


def _complete(model: ModelVariant, car: ComputeBudget, precision: str, prices: Mapping[str, float]) -> MenuEntry:
    stages = _critical(model)
    return MenuEntry(
        f"{model.name or 'model'} on the car, {precision}", Place.CAR, _seconds(stages, car, precision), 0.0, 0.0, 0.0,
        0.0, sum(car.joules(s.cost, precision) for s in stages),
        model.quality_price_s + prices.get(precision, 0.0),
    )  # fmt: skip


def _cuts(
    model: ModelVariant, spare: ModelVariant, car: ComputeBudget, remote: ComputeBudget, tier: Place,
    prices: Mapping[str, float], fallback_quality_s: float,
) -> list[MenuEntry]:  # fmt: skip
    stages, raw = _critical(model), raw_tensor_bytes(model.graph)
    flops = sum(stage.cost.flops for stage in stages)
    kept_ready = _critical(spare)
    found: list[MenuEntry] = []
    for cut in range(len(stages)):
        prefix, suffix = stages[:cut], stages[cut:]
        prefix_share = sum(stage.cost.flops for stage in prefix) / flops if flops > 0.0 else 0.0
        if not _fits(suffix, remote) or not _fits(prefix, car, also=kept_ready if model is not spare else stages):
            continue
        made_remotely = {name for stage in suffix for name in stage.outputs}
        up = list(dict.fromkeys(n for stage in suffix for n in stage.inputs if n not in made_remotely))
        down = [name for name in model.graph.sinks if name in made_remotely]
        options = {name: model.graph.codecs.get(name, ("raw",)) for name in (*up, *down)}
        kinds = list(dict.fromkeys(options.values()))  # tensors of a kind share their codec
        for picked in product(*kinds):
            codec = {name: picked[kinds.index(options[name])] for name in options}
            names = "+".join(c for c, kind in zip(picked, kinds, strict=True) if len(kind) > 1) or "raw"
            coding = sum(CODECS[c].encode_s(raw[n]) + CODECS[c].decode_s(raw[n]) for n, c in codec.items())
            for at_car in car.precisions if prefix else ("",):
                for at_remote in remote.precisions:
                    quality = model.quality_price_s + sum(CODECS[c].quality_price_s for c in codec.values())
                    quality += prefix_share * prices.get(at_car, 0.0)
                    quality += (1.0 - prefix_share) * prices.get(at_remote, 0.0)
                    after = f"after {prefix[-1].name} ({at_car})" if prefix else "all"
                    found.append(
                        MenuEntry(
                            f"{model.name or 'model'}: {after} at the {tier.name.lower()} ({at_remote}), {names}",
                            tier,
                            _seconds(prefix, car, at_car) if prefix else 0.0,
                            coding,
                            sum(nominal_payload_bytes(codec[n], raw[n]) for n in up),
                            sum(nominal_payload_bytes(codec[n], raw[n]) for n in down),
                            _seconds(suffix, remote, at_remote),
                            sum(car.joules(s.cost, at_car) for s in prefix) if prefix else 0.0,
                            quality,
                            max(0.0, fallback_quality_s - quality),
                        )
                    )
    return found
