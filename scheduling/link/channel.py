"""From distance to bits a second: path loss, noise, channel quality, spectral efficiency.

Distances in metres, frequencies in GHz, losses and ratios in dB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPEED_OF_LIGHT = 299_792_458.0  # [m/s]

# TS 38.214 table 5.2.2.1-2 (CQI, 64QAM), index = CQI, 0 = out of range; [bit/s/Hz]
SPECTRAL_EFFICIENCY = np.array(
    [0.0, 0.15, 0.23, 0.38, 0.60, 0.88, 1.18, 1.48, 1.91, 2.41, 2.73, 3.32, 3.90, 4.52, 5.12, 5.55]
)
# SINR from which CQI 1..15 keeps 10 % block errors. CQI 4-15: published SISO AWGN link simulations, whole dB.
# CQI 1-3 lie below their range; extended so that they reach the same fraction of Shannon capacity as CQI 4 does:
# SE = 0.509 log2(1 + SINR).
CQI_SINR_DB = np.array([-6.5, -4.4, -1.7, 1.0, 3.0, 4.0, 6.0, 8.0, 10.0, 11.0, 13.0, 16.0, 17.0, 19.0, 20.0])


def umi_los_loss_db(distance_m: float, height_bs_m: float, height_ut_m: float, frequency_ghz: float) -> float:
    """UMi street canyon, line of sight: 3GPP TR 38.901 table 7.4.1-1 (effective environment height 1 m)."""
    flat_m = max(distance_m, 1.0)
    break_m = 4.0 * (height_bs_m - 1.0) * (height_ut_m - 1.0) * frequency_ghz * 1e9 / SPEED_OF_LIGHT
    rise_m = height_bs_m - height_ut_m
    direct_m = np.hypot(flat_m, rise_m)
    frequency_db = 20.0 * np.log10(frequency_ghz)
    if flat_m <= break_m:
        return float(32.4 + 21.0 * np.log10(direct_m) + frequency_db)
    return float(32.4 + 40.0 * np.log10(direct_m) + frequency_db - 9.5 * np.log10(break_m**2 + rise_m**2))


def umi_nlos_loss_db(distance_m: float, height_bs_m: float, height_ut_m: float, frequency_ghz: float) -> float:
    """UMi street canyon without line of sight: 3GPP TR 38.901 table 7.4.1-1."""
    direct_m = np.hypot(max(distance_m, 1.0), height_bs_m - height_ut_m)
    scattered = 22.4 + 35.3 * np.log10(direct_m) + 21.3 * np.log10(frequency_ghz) - 0.3 * (height_ut_m - 1.5)
    return max(umi_los_loss_db(distance_m, height_bs_m, height_ut_m, frequency_ghz), float(scattered))


def blockage_mean_db(distance_m: float) -> float:
    """Mean extra loss behind a vehicle when one antenna is above it: TR 37.885 (NLOSv); its sigma is 4 dB."""
    return 5.0 + max(0.0, 15.0 * float(np.log10(max(distance_m, 1.0))) - 41.0)


def noise_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """Thermal noise -174 dBm/Hz plus the receiver's noise figure."""
    return -174.0 + 10.0 * float(np.log10(bandwidth_hz)) + noise_figure_db


def spectral_efficiency(sinr_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """[bit/s/Hz] of the highest CQI that this SINR supports; 0 = outage."""
    return SPECTRAL_EFFICIENCY[np.searchsorted(CQI_SINR_DB, np.asarray(sinr_db, np.float64), side="right")]
