"""Figures of the policies benchmark (extra `bench`: matplotlib). Colours: Okabe and Ito, told apart by colour-blind
eyes too; shapes and hatches say the same a second time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2e_drive.errors import UserError
from scheduling.simulation import Drive, Frames
from scheduling.types import ModelVariant, Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILION, PURPLE, GREY = "#D55E00", "#CC79A7", "#8C8C8C"
OURS = "exact"
LABELS = {OURS: "exact (ours)", "oracle": "oracle (sees the truth)"}
PANELS = (  # (row's key, heading)
    ("miss_pct", "answers after the deadline or never, % (95 % interval)"),
    ("latency_p95_ms", "latency, 95th percentile, ms"),
    ("energy_j", "energy on the car, J a frame"),
)
NEVER_MS = 3000.0  # where a percentile without an answer is drawn
PLACE_COLOURS = {Place.CAR: BLUE, Place.EDGE: ORANGE, Place.CLOUD: PURPLE}


def require_matplotlib() -> None:
    """So that a long run without it fails at its beginning."""
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError as error:
        raise UserError("figures need matplotlib: pip install 'e2e-drive[bench]', or figures=false") from error


def policies_figure(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """OUT/policies.png and .svg: one line a policy, one column a link condition, one row a measure; a mark for each
    computer and size of the network."""
    require_matplotlib()
    import matplotlib.pyplot as plt

    policies = list(dict.fromkeys(row["policy"] for row in rows))
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    cases = list(dict.fromkeys((row["soc"], row["size"]) for row in rows))
    height = 0.21 * len(policies) + 0.55
    figure, grid = plt.subplots(
        len(PANELS), len(conditions), figsize=(3.0 * len(conditions) + 1.8, height * len(PANELS) + 0.9),
        squeeze=False, sharey=True, sharex="row", layout="constrained",
    )  # fmt: skip
    for axes, (key, heading) in zip(grid, PANELS, strict=True):
        for ax, condition in zip(axes, conditions, strict=True):
            _policies_panel(ax, [row for row in rows if row["condition"] == condition], key, policies, cases)
        _scale(axes, key)
        axes[0].set_title(heading, fontsize=9, loc="left", pad=4)
    for ax, condition in zip(grid[0], conditions, strict=True):
        ax.annotate(condition, (0.5, 1.0), (0, 20), "axes fraction", "offset points", ha="center", fontweight="bold")
    _legend(figure, cases)
    _save(figure, out, "policies")


def _policies_panel(
    ax: Axes, rows: Sequence[dict[str, Any]], key: str, policies: Sequence[str], cases: Sequence[tuple[str, str]]
) -> None:
    ax.axhspan(policies.index(OURS) - 0.5, policies.index(OURS) + 0.5, color=GREEN, alpha=0.18, lw=0)
    for number, case in enumerate(cases):
        colour, marker = _style(number)
        shift = (number - 0.5 * (len(cases) - 1)) * 0.16
        for row in rows:
            if (row["soc"], row["size"]) != case:
                continue
            y = policies.index(row["policy"]) + shift
            value = min(NEVER_MS, row[key]) if row[key] is not None else NEVER_MS
            if key == "miss_pct":
                ax.plot([row["miss_low_pct"], row["miss_high_pct"]], [y, y], color=colour, lw=1.0)
            ax.plot(value, y, marker, color=colour, ms=4.0, mew=0.9, mfc=colour if number % 2 else "white")
    ax.set_yticks(range(len(policies)), [LABELS.get(name, name) for name in policies], fontsize=8)
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == LABELS[OURS] else "normal")
    ax.set_ylim(len(policies) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", lw=0.4, alpha=0.6)
    for i in range(1, len(policies)):
        ax.axhline(i - 0.5, color="black", lw=0.25, alpha=0.25)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _scale(axes: Sequence[Axes], key: str) -> None:
    """One scale for a row of panels that share it."""
    if key == "latency_p95_ms":
        ticks = {20: "20", 50: "50", 100: "100", 200: "200", 500: "500", 1000: "1000", NEVER_MS: "never"}
        for ax in axes:
            ax.axvspan(0.8 * NEVER_MS, 1.35 * NEVER_MS, color=GREY, alpha=0.15, lw=0)
        axes[0].set_xscale("log")
        axes[0].set_xlim(15.0, 1.35 * NEVER_MS)
        axes[0].set_xticks(list(ticks), list(ticks.values()))
        axes[0].minorticks_off()
    elif key == "miss_pct":
        axes[0].set_xscale("symlog", linthresh=1.0)
        axes[0].set_xlim(-0.12, 130.0)
        axes[0].set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    else:
        axes[0].set_xlim(left=-0.02 * axes[0].get_xlim()[1])


def _style(number: int) -> tuple[str, str]:
    return (BLUE, SKY, VERMILION, ORANGE, PURPLE, GREEN, GREY)[number % 7], ("o", "o", "s", "s", "D", "D", "^")[
        number % 7
    ]


def _legend(figure: Figure, cases: Sequence[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for number, (soc, size) in enumerate(cases):
        colour, marker = _style(number)
        name, _, watts = soc.partition("@")
        text = f"{name}{f' at {watts} W' if watts else ''}, {size}"
        fill = colour if number % 2 else "white"
        handles.append(Line2D([], [], color=colour, marker=marker, ls="", ms=5, mfc=fill, label=text))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(cases), frameon=False, fontsize=9)


def placement_figure(frames: Frames, drive: Drive, models: tuple[ModelVariant, ...], title: str, out: Path) -> None:
    """OUT/placement.png and .svg: where ours ran each stage along one drive, below the link and the latency. frames:
    with schedules and timelines."""
    require_matplotlib()
    import matplotlib.pyplot as plt

    names = [stage.name for stage in models[0].graph.stages]
    figure, (link, latency, raster) = plt.subplots(
        3, 1, figsize=(12.0, 0.17 * len(names) + 4.6), sharex=True, layout="constrained",
        height_ratios=[1.1, 1.4, 0.085 * len(names) + 0.6],
    )  # fmt: skip
    time_s = frames.capture_s
    _link_panel(link, time_s, drive)
    _latency_panel(latency, frames)
    _raster_panel(raster, frames, models, names)
    link.set_title(f"exact (ours): {title}", fontsize=11, loc="left")
    raster.set_xlim(time_s[0], time_s[-1] + drive.config.frame_period_s)
    _save(figure, out, "placement")


def _link_panel(ax: Axes, time_s: np.ndarray, drive: Drive) -> None:
    states = [moment.trace.at(moment.time_s) for moment in drive.moments]
    up = np.array([state.up_bps / 1e6 if state.available else np.nan for state in states])
    ax.plot(time_s, up, color=BLUE, lw=1.0, drawstyle="steps-post")
    period_s = drive.config.frame_period_s
    for start_s, gone in zip(time_s, np.isnan(up), strict=True):
        if gone:
            ax.axvspan(start_s, start_s + period_s, color=GREY, alpha=0.35, lw=0)
    ax.set_ylabel("uplink, Mbit/s\n(grey: no link)", fontsize=8)
    ax.set_ylim(bottom=0.0)
    speed = ax.twinx()
    speed.plot(time_s, [moment.speed_mps for moment in drive.moments], color=VERMILION, lw=1.0, ls="--")
    speed.set_ylabel("speed, m/s (dashed)", fontsize=8, color=VERMILION)
    speed.set_ylim(bottom=0.0)
    for one in (ax, speed):
        one.spines[["top"]].set_visible(False)
        one.tick_params(labelsize=8)


def _latency_panel(ax: Axes, frames: Frames) -> None:
    late = frames.is_late & np.isfinite(frames.latency_s)
    kinds = (
        ("answer from the car alone, as planned", ~frames.is_remote & ~frames.is_fallback & ~late, BLUE, "o"),
        ("from edge or cloud", frames.is_remote & ~frames.is_fallback & ~late, ORANGE, "s"),
        ("from the local fallback", frames.is_fallback & ~late, GREEN, "^"),
        ("after the deadline", late, "black", "x"),
    )
    ax.plot(
        frames.capture_s, 1e3 * frames.deadline_s, color=VERMILION, lw=1.2, drawstyle="steps-post", label="deadline"
    )
    for label, which, colour, marker in kinds:
        if which.any():
            latency_ms = 1e3 * frames.latency_s[which]
            ax.plot(frames.capture_s[which], latency_ms, marker, color=colour, ms=3.0, mew=0.8, label=label)
    ax.set_ylim(0.0, 1.4e3 * float(np.max(frames.deadline_s)))
    ax.set_ylabel("latency, ms", fontsize=8)
    ax.legend(fontsize=7.5, ncols=5, loc="upper left", frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)


def _raster_panel(ax: Axes, frames: Frames, models: tuple[ModelVariant, ...], names: Sequence[str]) -> None:
    """Stages of the main model; those of a smaller one stand in the rows of their names, paler."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    by_name = {model.name: model for model in models}
    picture = np.ones((len(names), len(frames.schedules), 3))
    row_of = {name: row for row, name in enumerate(names)}
    for column, schedule in enumerate(frames.schedules):
        model = by_name[schedule.model] if schedule.model else models[0]
        strength = 1.0 if model is models[0] else 0.45
        for stage, place in zip(model.graph.stages, schedule.place, strict=True):
            if stage.name in row_of:
                colour = np.array(to_rgb(PLACE_COLOURS[place]))
                picture[row_of[stage.name], column] = strength * colour + (1.0 - strength)
    period_s = frames.capture_s[1] - frames.capture_s[0]
    extent = (frames.capture_s[0], frames.capture_s[-1] + period_s, len(names), 0)
    ax.imshow(picture, aspect="auto", interpolation="nearest", extent=extent)
    ax.set_yticks(np.arange(len(names)) + 0.5, list(names), fontsize=7)
    ax.hlines(range(1, len(names)), *extent[:2], color="white", lw=0.6)
    ax.set_xlabel("time, s", fontsize=9)
    ax.tick_params(axis="y", length=0)
    handles = [Patch(color=PLACE_COLOURS[place], label=place.name.lower()) for place in Place]
    if len(models) > 1:
        handles.append(Patch(color="#C8C8C8", label=f"paler: `{models[1].name}` instead of `{models[0].name}`"))
    ax.legend(handles=handles, fontsize=8, ncols=4, loc="upper left", bbox_to_anchor=(0.0, -0.13), frameon=False)


def _save(figure: Figure, out: Path, name: str) -> None:
    import matplotlib.pyplot as plt

    for suffix in ("png", "svg"):
        figure.savefig(out / f"{name}.{suffix}", dpi=160)
    plt.close(figure)
