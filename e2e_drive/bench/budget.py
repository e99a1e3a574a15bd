"""Predicted against published stage latencies: how far the roofline of `scheduling.budget` can be trusted.

Costs are traced (`e2e_drive.bench.published`). Six numbers are calibrated on the published latencies by least squares
of log(predicted / published): the share of the peak that dense layers reach at fp32 (TF32 on these GPUs), fp16 and
int8, the share of the memory bandwidth, all common to one GPU generation (Ampere), and the time of a kernel on Orin
and on a workstation card. Every figure is predicted by a fit that has not seen it (leave one out), and, harder, by one
that has seen no figure of its network (PETR and PETRv2 count as one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tqdm import tqdm

from e2e_drive import config_dir
from e2e_drive.bench.published import FIGURES, Figure, published_costs
from scheduling import ComputeBudget, StageCost

Floats = npt.NDArray[np.float64]

MACHINES = {"AGX Orin": ("soc", "agx_orin"), "DRIVE Orin": ("soc", "drive_orin"), "RTX A4000": ("edge", "a4000")}
_KERNEL_OF = {"AGX Orin": "Orin", "DRIVE Orin": "Orin", "RTX A4000": "A4000"}
_PARAMETERS = ("eta_fp32", "eta_fp16", "eta_int8", "eta_memory", "kernel_s Orin", "kernel_s A4000")
_SHORTEST_KERNEL_S = 1e-6  # what no launch undercuts; below it the figures cannot tell times apart


@dataclass(frozen=True)
class Calibration:
    """What is fitted, in the units of `ComputeBudget`."""

    values: tuple[float, ...]  # in the order of _PARAMETERS

    def apply(self, machine: ComputeBudget) -> ComputeBudget:
        known = dict(zip(_PARAMETERS, self.values, strict=True))
        return replace(
            machine,
            fp32_efficiency=known["eta_fp32"],
            fp16_efficiency=known["eta_fp16"],
            int8_efficiency=known["eta_int8"],
            memory_efficiency=known["eta_memory"],
            kernel_s=known[f"kernel_s {_KERNEL_OF[machine.name]}"],
        )


def machines() -> dict[str, ComputeBudget]:
    """The profiles as configured."""
    return {name: instantiate(OmegaConf.load(config_dir() / group / f"{file}.yaml"))
            for name, (group, file) in MACHINES.items()}  # fmt: skip


def predict_ms(figure: Figure, costs: Mapping[str, StageCost], machine: ComputeBudget) -> float:
    """Its parts one after the other."""
    return 1e3 * sum(machine.alone_seconds(costs[stage], precision) for stage, precision in figure.parts)


def fit(figures: Sequence[Figure], costs: Mapping[str, StageCost], base: Mapping[str, ComputeBudget]) -> Calibration:
    """Levenberg-Marquardt (Marquardt, J. SIAM 11(2), 1963) on log residuals from a few starting points; the shares are
    logistic and the times exponential functions of what is searched over, so that they stay in their ranges."""
    published = np.log([figure.milliseconds for figure in figures])

    def calibration(x: Floats) -> Calibration:
        shares, times = 1.0 / (1.0 + np.exp(-x[:4])), np.maximum(np.exp(x[4:]), _SHORTEST_KERNEL_S)
        return Calibration((*shares.tolist(), *times.tolist()))

    def residuals(x: Floats) -> Floats:
        fitted = {name: calibration(x).apply(machine) for name, machine in base.items()}
        return np.log([predict_ms(f, costs, fitted[f.machine]) for f in figures]) - published

    best, best_loss = np.zeros(len(_PARAMETERS)), np.inf
    for memory, kernel in ((-0.5, 2e-5), (0.5, 5e-6), (-1.0, 5e-5)):
        x = np.array([-0.8, -0.3, -1.0, memory, np.log(kernel), np.log(kernel / 2)])
        x, loss = _levenberg_marquardt(residuals, x)
        if loss < best_loss:
            best, best_loss = x, loss
    return calibration(best)


def _levenberg_marquardt(residuals: Any, x: Floats, iterations: int = 60) -> tuple[Floats, float]:
    value, damping = residuals(x), 1e-2
    for _ in range(iterations):
        jacobian = np.stack([(residuals(x + 1e-4 * e) - value) / 1e-4 for e in np.eye(len(x))], axis=1)
        normal = jacobian.T @ jacobian
        # A share that no roofline in sight is bound by has no slope: the ridge keeps it where it is.
        step = np.linalg.solve(
            normal + damping * (np.diag(np.diag(normal)) + 1e-6 * np.eye(len(x))), -jacobian.T @ value
        )
        moved = residuals(x + np.clip(step, -1.0, 1.0))
        if moved @ moved < value @ value:
            gained = value @ value - moved @ moved
            x, value, damping = x + np.clip(step, -1.0, 1.0), moved, damping / 3.0
            if gained < 1e-12:
                break
        else:
            damping *= 4.0
            if damping > 1e8:
                break
    return x, float(value @ value)


def held_out(figure: Figure) -> list[Figure]:
    """The figures that a fit may see when it predicts this one: none that the figure is, or is the sum of."""
    parts = set(figure.parts)
    return [
        other
        for other in FIGURES
        if other.fitted and not (other.machine == figure.machine and set(other.parts) <= parts)
    ]


def _family(figure: Figure) -> str:
    return figure.network.split("-")[0].removesuffix("v2")


def other_networks(figure: Figure) -> list[Figure]:
    """A harder test: the fit may see no figure of the same network, whatever the precision and machine."""
    return [other for other in FIGURES if other.fitted and _family(other) != _family(figure)]


def _asked(figure: Figure) -> bool:
    """Stages of BEVDet in FP16 on AGX Orin, and the end-to-end networks on DRIVE Orin."""
    return figure.machine == "DRIVE Orin" or (figure.machine == "AGX Orin" and figure.precision == "fp16")


def run() -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}."""
    costs, base = published_costs(), machines()
    full = fit([figure for figure in FIGURES if figure.fitted], costs, base)
    unseen = {f.network: fit(other_networks(f), costs, base) for f in FIGURES}
    rows, errors, harder = [], [], []
    for figure in tqdm(FIGURES, desc="leave one out", leave=False):
        machine = base[figure.machine]
        left_out = predict_ms(figure, costs, fit(held_out(figure), costs, base).apply(machine))
        network_out = predict_ms(figure, costs, unseen[figure.network].apply(machine))
        errors.append(abs(left_out / figure.milliseconds - 1.0))
        harder.append(abs(network_out / figure.milliseconds - 1.0))
        rows.append(
            {
                "what": figure.label,
                "machine": figure.machine,
                "precision": figure.precision,
                "gflop": sum(costs[stage].flops for stage, _ in figure.parts) / 1e9,
                "published_ms": figure.milliseconds,
                "left_out_ms": left_out,
                "network_out_ms": network_out,
                "full_fit_ms": predict_ms(figure, costs, full.apply(machine)),
                "error": left_out / figure.milliseconds - 1.0,
                "fitted": figure.fitted,
            }
        )
    fitted = [e for e, figure in zip(errors, FIGURES, strict=True) if figure.fitted]
    asked = [e for e, figure in zip(errors, FIGURES, strict=True) if _asked(figure)]
    metrics = {
        "median_abs_error": float(np.median(errors)),
        "max_abs_error": float(max(errors)),
        "median_abs_error_fitted": float(np.median(fitted)),
        "median_abs_error_network_out": float(np.median(harder)),
        "median_abs_error_fp16_agx_and_drive": float(np.median(asked)),
        "figures": len(FIGURES),
        "figures_fitted": len(fitted),
        "parameters": len(_PARAMETERS),
        **dict(zip((name.replace(" ", "_") for name in _PARAMETERS), full.values, strict=True)),
    }
    return {"metrics": metrics, "rows": rows}
