"""From geometry to bits a second: path loss, blockage, noise, channel quality, spectral efficiency.

Distances in metres, frequencies in GHz, losses and ratios in dB.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

SPEED_OF_LIGHT = 299_792_458.0  # [m/s]
SPEED_IN_FIBRE_KM_S = 2e5  # two thirds of it: a refractive index of about 1.5

# Shadowing in UMi street canyons: sigma from TR 38.901 table 7.4.1-1, correlation distance from table 7.5-6.
SHADOW_SIGMA_DB = {True: 4.0, False: 7.82}  # with and without line of sight
SHADOW_DISTANCE_M = {True: 10.0, False: 13.0}

# TS 38.214 table 5.2.2.1-2 (CQI, 64QAM), index = CQI, 0 = out of range; [bit/s/Hz]
SPECTRAL_EFFICIENCY = np.array(
    [0.0, 0.15, 0.23, 0.38, 0.60, 0.88, 1.18, 1.48, 1.91, 2.41, 2.73, 3.32, 3.90, 4.52, 5.12, 5.55]
)
# SINR from which CQI 1..15 keeps 10 % block errors. CQI 4-15: published SISO AWGN link simulations, whole dB.
# CQI 1-3 lie below their range; extended so that they reach the same fraction of Shannon capacity as CQI 4 does:
# SE = 0.509 log2(1 + SINR).
CQI_SINR_DB = np.array([-6.5, -4.4, -1.7, 1.0, 3.0, 4.0, 6.0, 8.0, 10.0, 11.0, 13.0, 16.0, 17.0, 19.0, 20.0])

_PART_OF_POWER = 10.0 ** (-0.1 * CQI_SINR_DB[:, None])


def umi_los_loss_db(distance_m: float, height_bs_m: float, height_ut_m: float, frequency_ghz: float) -> float:
    """UMi street canyon, line of sight: 3GPP TR 38.901 table 7.4.1-1 (effective environment height 1 m).

    distance_m: over ground. Antennas below 1 m have no break point: then the near branch holds everywhere.
    """
    flat_m = max(distance_m, 1.0)
    break_m = 4.0 * (height_bs_m - 1.0) * (height_ut_m - 1.0) * frequency_ghz * 1e9 / SPEED_OF_LIGHT
    rise_m = height_bs_m - height_ut_m
    direct_m = math.hypot(flat_m, rise_m)
    frequency_db = 20.0 * math.log10(frequency_ghz)
    if flat_m <= break_m or break_m <= 0.0:
        return 32.4 + 21.0 * math.log10(direct_m) + frequency_db
    return 32.4 + 40.0 * math.log10(direct_m) + frequency_db - 9.5 * math.log10(break_m**2 + rise_m**2)


def umi_nlos_loss_db(distance_m: float, height_bs_m: float, height_ut_m: float, frequency_ghz: float) -> float:
    """UMi street canyon without line of sight: 3GPP TR 38.901 table 7.4.1-1."""
    direct_m = math.hypot(max(distance_m, 1.0), height_bs_m - height_ut_m)
    scattered = 22.4 + 35.3 * math.log10(direct_m) + 21.3 * math.log10(frequency_ghz) - 0.3 * (height_ut_m - 1.5)
    return max(umi_los_loss_db(distance_m, height_bs_m, height_ut_m, frequency_ghz), scattered)


def los_probability(distance_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """UMi street canyon, TR 38.901 table 7.4.2-1: only for where no geometry is at hand."""
    d = np.maximum(np.asarray(distance_m, np.float64), 1.0)
    return np.where(d <= 18.0, 1.0, 18.0 / d + np.exp(-d / 36.0) * (1.0 - 18.0 / d))


def blockage_db(distance_m: float, blocker_m: float, height_bs_m: float, height_ut_m: float) -> tuple[float, float]:
    """(mean, sigma) of the extra loss max(0, N(mu, sigma)) behind a vehicle: TR 37.885 section 6.2.1, NLOSv.

    mu is 9 dB with both antennas below its top, 5 dB with one of them, no loss with none; the moments are those
    of the rectified normal distribution.
    """
    below = (height_bs_m < blocker_m) + (height_ut_m < blocker_m)
    if below == 0:
        return 0.0, 0.0
    mu, sigma = (9.0, 4.5) if below == 2 else (5.0, 4.0)
    mu += max(0.0, 15.0 * math.log10(max(distance_m, 1.0)) - 41.0)
    share = 0.5 * math.erfc(-mu / sigma / math.sqrt(2.0))
    density = math.exp(-0.5 * (mu / sigma) ** 2) / math.sqrt(2.0 * math.pi)
    mean = mu * share + sigma * density
    return mean, math.sqrt((mu * mu + sigma * sigma) * share + mu * sigma * density - mean * mean)


def noise_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """Thermal noise -174 dBm/Hz plus the receiver's noise figure."""
    return -174.0 + 10.0 * math.log10(bandwidth_hz) + noise_figure_db


def spectral_efficiency(sinr_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """[bit/s/Hz] of the highest CQI that this SINR supports; 0 = outage."""
    return SPECTRAL_EFFICIENCY[np.searchsorted(CQI_SINR_DB, np.asarray(sinr_db, np.float64), side="right")]


def spectral_efficiency_limited(sinr_db: npt.ArrayLike, share: npt.ArrayLike, least: float) -> npt.NDArray[np.float64]:
    """[bit/s/Hz of the whole band] of a sender that may fill a share of the band, and whose power is its limit.

    sinr_db: with its power spread over the whole band. On a part f of it, the SINR is 1/f times as high, so far away
    few resource blocks are better than many: max over CQI q of SE_q min(share, 10^((sinr - SINR_q) / 10)). Nothing
    goes through where even the least part (one resource block) is too wide for CQI 1.
    """
    power = 10.0 ** (0.1 * np.asarray(sinr_db, np.float64))
    parts = np.minimum(np.asarray(share, np.float64), power * _PART_OF_POWER)  # (15, ...)
    return (SPECTRAL_EFFICIENCY[1:, None] * parts).max(axis=0) * (power * _PART_OF_POWER[0] >= least)
