"""What `radio_physics` makes of a moment, compiled: a car asks for some hundred moments a frame.

Scalars in, scalars out, loops over columns around them. The formulas are those in the head of `radio_physics`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
from numba.typed import List

from scheduling.link.base import Floats, Integers
from scheduling.link.channel import CQI_SINR_DB, SPECTRAL_EFFICIENCY

_PART_OF_POWER = 10.0 ** (-0.1 * CQI_SINR_DB)


class Cell(NamedTuple):
    """A radio configuration as numbers. up_db, down_db: SINR at no path loss; *_bps_per_se: bit/s at 1 bit/s/Hz.
    up_s, down_s (slot, retransmissions): see `TddPattern.delays_s`."""

    up_db: float
    down_db: float
    up_bps_per_se: float
    down_bps_per_se: float
    least_share: float  # of the band that can be sent on
    slot_s: float
    period_s: float
    users_per_slot: float
    fixed_s: float  # of a round trip
    core_median_s: float
    core_log_sigma: float
    cloud_fibre_s: float
    wan_median_s: float
    wan_log_sigma: float
    wan_knee: float
    wan_tail_log_sigma: float
    wan_bps: float
    usual_wan_rtt_s: float
    up_s: Floats
    down_s: Floats


@numba.njit(cache=True)
def make_box(cell: Cell) -> List:
    """A typed list with it as its only element: handed over in a microsecond (see `workspace.make_box`)."""
    box = List()
    box.append(cell)
    return box


@numba.njit(cache=True, inline="always")
def _delay_s(table_s: Floats, slot_s: float, resent: int, phase: float) -> float:
    position = phase * table_s.shape[0]
    slot = math.ceil(position)
    return (slot - position) * slot_s + table_s[int(slot) % table_s.shape[0], resent]


@numba.njit(cache=True)
def spectral_efficiency_of(sinr_db: float) -> float:
    """The highest CQI that this SINR supports; the scalar twin of `channel.spectral_efficiency`."""
    cqi = 0
    while cqi < CQI_SINR_DB.size and sinr_db >= CQI_SINR_DB[cqi]:
        cqi += 1
    return SPECTRAL_EFFICIENCY[cqi]


@numba.njit(cache=True, inline="always")
def _spectral_efficiency_limited(sinr_db: float, share: float, least: float) -> float:
    """The scalar twin of `channel.spectral_efficiency_limited`."""
    power = 10.0 ** (0.1 * sinr_db)
    if power * _PART_OF_POWER[0] < least:
        return 0.0
    best = 0.0
    for q in range(_PART_OF_POWER.size):
        best = max(best, SPECTRAL_EFFICIENCY[q + 1] * min(share, power * _PART_OF_POWER[q]))
    return best


@numba.njit(cache=True)
def _moment(
    c: Cell, gain_db: float, core: float, wan: float, users: int, up_resent: int, down_resent: int, up_phase: float,
    down_phase: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    share = 1.0 / (1.0 + users)
    up = c.up_bps_per_se * _spectral_efficiency_limited(c.up_db + gain_db, share, c.least_share)
    down = c.down_bps_per_se * spectral_efficiency_of(c.down_db + gain_db) * share
    if up == 0.0 or down == 0.0:  # either direction needs acknowledgements in the other
        up = down = 0.0
    rtt = _delay_s(c.up_s, c.slot_s, up_resent, up_phase) + _delay_s(c.down_s, c.slot_s, down_resent, down_phase)
    rtt += c.fixed_s + c.period_s * math.floor(users / c.users_per_slot)
    rtt += c.core_median_s * math.exp(c.core_log_sigma * core)
    excess = max(wan - c.wan_knee, 0.0)
    wan_rtt = c.cloud_fibre_s + c.wan_median_s * math.exp(c.wan_log_sigma * wan + c.wan_tail_log_sigma * excess)
    # A queue that makes messages wait x times as long leaves each flow about one part in x of the rate.
    return up, down, rtt, wan_rtt, c.wan_bps * min(1.0, c.usual_wan_rtt_s / wan_rtt)


@numba.njit(cache=True)
def moment(
    box: List, gain_db: float, core: float, wan: float, users: int, up_resent: int, down_resent: int, up_phase: float,
    down_phase: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """One of them: (up, down, round trip, wide-area round trip and rate)."""
    return _moment(box[0], gain_db, core, wan, users, up_resent, down_resent, up_phase, down_phase)


@numba.njit(cache=True)
def fill_moments(
    out: Floats, box: List, gain_db: Floats, core: Floats, wan: Floats, users: Integers, up_resent: Integers,
    down_resent: Integers, up_phase: Floats, down_phase: Floats,
) -> None:  # fmt: skip
    """Fills out (5, n) from columns (n,)."""
    c = box[0]
    for m in range(gain_db.size):
        out[0, m], out[1, m], out[2, m], out[3, m], out[4, m] = _moment(
            c, gain_db[m], core[m], wan[m], users[m], up_resent[m], down_resent[m], up_phase[m], down_phase[m]
        )


@numba.njit(cache=True)
def autoregress(value: float, rho: float, innovation: float) -> float:
    return rho * value + math.sqrt(1.0 - rho * rho) * innovation


@numba.njit(cache=True)
def fill_ahead(
    out: Floats, box: List, begin: int, core: Floats, wan: Floats, shadows: Floats, users: Integers,
    up_resent: Integers, down_resent: Integers, up_phase: Floats, down_phase: Floats, shadow: float,
    field: tuple[float, float, float], other: tuple[float, float, float], switch: int,
) -> None:  # fmt: skip
    """Fills out (5, count) with the moments from tick `begin` of the columns on. shadow: now. field, other: (mean [dB],
    sigma [dB], correlation from tick to tick) of the unit that serves now, and from tick `switch` of `out` on."""
    c, (mean_db, sigma_db, rho) = box[0], field
    for j in range(out.shape[1]):
        m = begin + j
        if j == switch:  # another unit's shadowing has nothing to do with the last one's
            mean_db, sigma_db, rho = other
            shadow = shadows[m]
        elif j > 0:
            shadow = autoregress(shadow, rho, shadows[m])
        out[0, j], out[1, j], out[2, j], out[3, j], out[4, j] = _moment(
            c, mean_db + sigma_db * shadow, core[m], wan[m], users[m], up_resent[m], down_resent[m], up_phase[m],
            down_phase[m],
        )  # fmt: skip
