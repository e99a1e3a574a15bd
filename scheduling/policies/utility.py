"""A utility program over a small menu."""

from __future__ import annotations

from scheduling.planning import Reading
from scheduling.policies.base import PolicyConfig
from scheduling.policies.baseline import BaselinePolicy, Crossings, Plan, certain, within_limits
from scheduling.problem import Problem
from scheduling.solver import PRICE
from scheduling.types import Place, Schedule


class TurboIlpPolicy(BaselinePolicy):
    """The most accurate entry of a menu that meets the deadline on a pessimistic link.

    In the manner of TURBO (arXiv 2503.20127): an integer program picks one configuration a service, maximising utility
    under latency objectives and the bandwidth at hand. Simplified: one service, so that the program is "choose one of
    a menu" and looking at every entry solves it exactly. The menu: size x precision x whole network in one tier x
    codecs of images; utility is minus all prices of quality, ties go to the quicker. If nothing meets the deadline,
    the quickest entry is taken. pessimism: quantile of the forecast's delays (of its rates, one minus it).
    """

    name = "turbo_ilp"
    OWN_OPTIONS = ("fallback", "pessimism")

    def __init__(self, config: PolicyConfig | None = None, *, fallback: bool = False, pessimism: float = 0.9) -> None:
        super().__init__(config, fallback=fallback)
        if not 0.0 < pessimism < 1.0:
            raise ValueError(f"pessimism must lie in (0, 1), received {pessimism}")
        self.pessimism = pessimism

    def decide(self, problem: Problem) -> Schedule:
        readings = certain(self.planner, problem, self.pessimism)
        entries = [(reading.evaluate(*plan), reading, plan) for reading in readings for plan in menu(reading)]
        entries = within_limits(entries)
        in_time = [entry for entry in entries if entry[0].latency_s <= problem.deadline_s]
        if in_time:
            _, reading, plan = min(in_time, key=lambda entry: (quality_price_s(*entry[1:]), entry[0].latency_s))
        else:
            _, reading, plan = min(entries, key=lambda entry: entry[0].latency_s)
        return self.schedule(reading, plan)


def menu(reading: Reading) -> list[Plan]:
    """Whole network in one tier at one precision; remote ones once for each codec that images may take."""
    codecs = sorted({name for _, name in reading.compiled.options if name.startswith("jpeg")}) or [""]
    by_codec = [Crossings(reading, codec.__eq__) for codec in codecs]
    plans = []
    for c, (tier, _) in enumerate(reading.compiled.choices):
        for crossings in by_codec[:1] if tier == Place.CAR else by_codec:
            plans.append(crossings.plan(reading.uniform(tier, c)))
    return plans


def quality_price_s(reading: Reading, plan: Plan) -> float:
    """Size, precision and codecs; what bytes cost is not quality."""
    choice, option = plan
    n, s, per_byte_s = reading.compiled.n_critical, reading.situation, reading.planner.config.per_byte_s
    price = s.quality_price_s + sum(float(s.stage_price[i, choice[i]]) for i in range(n))
    return price + sum(float(s.options[o, PRICE] - per_byte_s * s.options[o, 0]) for o in option.tolist() if o >= 0)
