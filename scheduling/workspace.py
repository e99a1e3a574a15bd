"""The arrays that a search works in, made once for a graph and a number of futures and used again for every decision.

Nothing is remembered in them between two searches.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba.typed import List

from scheduling.compiled import GraphArrays, Ints
from scheduling.problem import Floats
from scheduling.solver import Tracks, make_tracks

LOWER, READY, HELD = 5, 6, 7  # rows of a level after the five resources; HELD: the car's last critical stage ends
ROWS = 8


class Placing(NamedTuple):
    """For the placements. By (position, tier) where nothing else is said."""

    quickest: Floats
    seconds: Floats  # (position,) quickest at the tiers decided so far
    cheapest: Floats
    lightest: Floats  # bytes of parameters
    thriftiest: Floats  # joules
    alone: Floats  # least objective of anything with that stage there
    turn_order: Ints  # tiers of each position, the promising first
    rest: Floats  # (position + 1,) least price of all positions before
    floors: Floats  # (position + 1,) and own (position,): see `search.strand_floors`
    own: Floats
    least: Floats  # (tensor, 4): see `search.strands`
    favourite: Ints  # (tensor,) a codec worth a try
    way: Floats  # (tensor, tiers * tiers, M)
    head: Floats  # (tensor, tier, M)
    loose: Floats  # (position, tier, M) tails before anything is decided
    after: Floats  # (position, tier, M)
    done: Floats  # (3, M)
    tail: Floats  # (position, M) under the tiers decided so far
    tail_mean: Floats
    lower: Floats  # (depth, M)
    held: Floats  # (depth, M) until when the car works for the main run at least
    work: Floats  # (depth,) seconds of the car's stages so far
    row: Floats
    base: Floats
    scratch: Floats
    tier: Ints  # (position,)
    turn: Ints  # (depth,), and so on
    price: Floats
    moves: Floats
    cost: Floats
    bound: Floats
    joules: Floats
    memory: Floats  # (depth, 3)
    remote: Ints
    uploads: Floats  # (position,)
    trial: Ints  # (stage,)
    trial_option: Ints  # (tensor,)


class Refining(NamedTuple):
    """For precisions and codecs of one placement."""

    state: Floats  # (level, ROWS, M)
    scratch: Floats  # (M,)
    headroom: Floats  # (M,) up to the fallback's end, shared among the tensors that go up
    steps: Ints  # (step, 8): kind, position, tensor, action, whether it went up before, maker, its tier, target tier
    branch: Ints  # (level,) the step that it decides
    turn: Ints
    price: Floats
    reduced: Floats
    bound: Floats
    joules: Floats
    memory: Floats  # (level, 3)
    rest_price: Floats
    rest_reduced: Floats
    reduced_cost: Floats  # (option,)
    order: Ints  # (option,) options of each tensor, the promising first
    choices: Ints  # (position, ...) precisions worth a look, then -1
    reference: Floats  # (position,) seconds of the precision that bounds take for granted, see `reduced_costs`
    tail: Floats  # (position, M) with those
    base: Floats  # (M,) with those
    up_least: Floats  # (position,) bytes that go up right before a stage, at least
    up_likely: Floats  # (position,) by favourite codecs
    kept: Ints  # (tensor,) how many of its options, the first in `order`, are left
    slow: Floats  # (option, 4) as Situation.options: see `narrowing.take_slowest`
    slopes: Floats  # (M,) see `bounds.fill_slopes`
    slack: Floats  # (level,) seconds by which all could still be quicker than those
    rest_codecs: Floats  # (level,) the codecs' part of rest_price
    now: Ints  # (stage,)
    now_option: Ints  # (tensor,)
    arrived: Ints  # (tensor, tier)
    left: Ints  # (tensor,)
    goes_up: Ints  # (tensor,) whether it goes up before the stage that waits longest for the uplink


class Workspace(NamedTuple):
    placing: Placing
    refining: Refining
    tracks: Tracks


@numba.njit(cache=True)
def make_box(g: GraphArrays, space: Workspace) -> List:
    """A typed list with the two as its only element. Handing over one list takes a microsecond, handing over the
    eighty arrays in it takes ten: what numba does with every array of a call from Python adds up."""
    box = List()
    box.append((g, space))
    return box


def make_workspace(g: GraphArrays, tiers: int, futures: int) -> Workspace:
    n, stages, tensors = g.n_critical, g.follows.size, g.producer.size
    options, choices, steps = int(g.option_pointer[-1]), g.choice_tier.size, g.step_kind.size
    levels = tensors + n + 2

    def real(*shape: int) -> Floats:
        return np.zeros(shape)

    def whole(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    placing = Placing(
        quickest=real(n, tiers), seconds=real(n), cheapest=real(n, tiers), lightest=real(n, tiers),
        thriftiest=real(n, tiers),
        alone=real(n, tiers), turn_order=whole(n, tiers), rest=real(n + 1), floors=real(n + 1), own=real(n),
        least=real(tensors, 4),
        favourite=whole(tensors), way=real(tensors, tiers * tiers, futures), head=real(tensors, tiers, futures),
        loose=real(n, tiers, futures), after=real(n, tiers, futures), done=real(3, futures), tail=real(n, futures),
        tail_mean=real(n), lower=real(n + 1, futures), held=real(n + 1, futures), work=real(n + 1),
        row=real(futures), base=real(futures), scratch=real(futures), tier=whole(n),
        turn=whole(n + 1), price=real(n + 1), moves=real(n + 1), cost=real(n + 1), bound=real(n + 1),
        joules=real(n + 1), memory=real(n + 1, 3), remote=whole(n + 1), uploads=real(n), trial=whole(stages),
        trial_option=whole(tensors),
    )  # fmt: skip
    refining = Refining(
        state=real(levels, ROWS, futures), headroom=real(futures), scratch=real(futures), steps=whole(steps, 8),
        branch=whole(levels), turn=whole(levels),
        price=real(levels), reduced=real(levels), bound=real(levels), joules=real(levels),
        memory=real(levels, 3), rest_price=real(levels), rest_reduced=real(levels), reduced_cost=real(options),
        order=whole(options), choices=whole(n, choices + 1), reference=real(n), tail=real(n, futures),
        base=real(futures), slopes=real(futures), up_least=real(n), up_likely=real(n), kept=whole(tensors),
        slow=real(options, 4), slack=real(levels), rest_codecs=real(levels), now=whole(stages),
        now_option=whole(tensors), arrived=whole(tensors, 3), left=whole(tensors), goes_up=whole(tensors),
    )  # fmt: skip
    return Workspace(placing, refining, make_tracks(n, tensors, futures))
