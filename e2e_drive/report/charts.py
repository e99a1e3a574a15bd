"""The report's figures as inline SVG: no script, no font, nothing from outside; they print as they look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from bev import FloatArray
from e2e_drive.report.groups import Group, links_by_quality
from e2e_drive.report.tally import AT_EDGE, DROPPED, FALLBACK, IN_CAR, IN_CLOUD, SPLIT

# Okabe & Ito's colours, which most colour-blind readers can tell apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#444444")
PLACE_COLOURS = {
    IN_CAR: "#e69f00", SPLIT: "#cc79a7", AT_EDGE: "#0072b2", IN_CLOUD: "#56b4e9", FALLBACK: "#d55e00",
    DROPPED: "#444444",
}  # fmt: skip
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_WIDTH, _HEIGHT = 620, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 24, 44
_MAX_CURVE = 200  # points of a distribution; more cannot be seen
_LONGEST_SHARE = 0.995  # of all frames; the slowest rest lies beyond the latency axis
_SPOT_M = 4.0  # one mark a stretch of this length on a map


class _Axes:
    """Data -> the picture's coordinates."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def frame(self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str], x_name: str, y_name: str) -> str:
        right, base = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = [
            f'<line class="grid" x1="{_LEFT}" y1="{self.y(at):.1f}" x2="{right}" y2="{self.y(at):.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{self.y(at) + 4:.1f}" text-anchor="end">{escape(label)}</text>'
            for at, label in y_ticks.items()
        ]
        parts += [_lines(label, self.x(at), base + 16, "middle") for at, label in x_ticks.items()]
        parts.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{right}" y2="{base}"/>')
        parts.append(f'<text x="{right}" y="{_HEIGHT - 2}" text-anchor="end" class="name">{escape(x_name)}</text>')
        parts.append(f'<text x="2" y="10" class="name">{escape(y_name)}</text>')
        return "".join(parts)


def _lines(label: str, x: float, y: float, anchor: str) -> str:
    spans = "".join(
        f'<tspan x="{x:.1f}" dy="{0 if i == 0 else 12}">{escape(line)}</tspan>'
        for i, line in enumerate(label.split("\n"))
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{spans}</text>'


def _svg(title: str, body: str, width: int = _WIDTH, height: int = _HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """(colour, what it stands for) -> HTML."""
    keys = "".join(
        f'<li><span class="swatch" style="background:{colour}"></span>{escape(text)}</li>' for colour, text in entries
    )
    return f'<ul class="legend">{keys}</ul>'


def score_by_link(groups: Sequence[Group]) -> str:
    """Driving score with its interval against link quality, a line a policy (and SoC and weights, where they differ).
    Links stand in the order of their median uplink as the drives met it."""
    links: dict[str, list[Group]] = {}
    for group in groups:
        links.setdefault(group.setting.link, []).append(group)
    order = links_by_quality(groups)
    series = _series(groups)
    axes = _Axes((-0.5, len(order) - 0.5), (0.0, 100.0))
    ticks = {float(i): _link_label(link, links[link]) for i, link in enumerate(order)}
    body = axes.frame(ticks, {v: f"{v:.0f}" for v in (0.0, 25.0, 50.0, 75.0, 100.0)}, "link, worst first",
                      "driving score")  # fmt: skip
    keys = []
    for number, (name, found) in enumerate(series.items()):
        colour, dash = _look(number)
        shift = (number - (len(series) - 1) / 2.0) * min(0.06, 0.6 / len(series))
        found = sorted(found, key=lambda group: order.index(group.setting.link))
        spots = [(axes.x(order.index(g.setting.link) + shift), g.scores["score_composed"]) for g in found]
        path = " ".join(f"{x:.1f},{axes.y(score.mean):.1f}" for x, score in spots)
        body += f'<polyline class="curve" points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>'
        for x, score in spots:
            low, high = axes.y(score.low), axes.y(score.high)
            body += (
                f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-width="2"/>'
            )
            body += f'<circle cx="{x:.1f}" cy="{axes.y(score.mean):.1f}" r="4" fill="{colour}"/>'
        keys.append((colour, name))
    return _svg("Driving score against link quality", body) + legend(keys)


def latency_curves(groups: Sequence[Group]) -> str:
    """Which share of the frames was answered within so many milliseconds: a chart a link, a curve a policy, in the
    colours of `score_by_link`."""
    timed = [group for group in groups if len(group.latencies_s)]
    if not timed:
        return "<p>No drive with a network: no latencies.</p>"
    pooled = np.concatenate([group.latencies_s for group in timed])
    end_ms = max(float(np.quantile(pooled, _LONGEST_SHARE)) * 1e3 * 1.05, 1.0)
    looks = {name: _look(number) for number, name in enumerate(_series(groups))}
    charts = []
    for link in dict.fromkeys(group.setting.link for group in timed):
        found = {name: [g for g in members if g.setting.link == link] for name, members in _series(groups).items()}
        body = _latency_body([(looks[name], group) for name, members in found.items() for group in members], end_ms)
        drawn = _svg(f"Distribution of the latency, link {link}", body)
        charts.append(f"<figure>{drawn}<figcaption>link {escape(link)}</figcaption></figure>")
    return f'<div class="two">{"".join(charts)}</div>' + legend((look[0], name) for name, look in looks.items())


def _latency_body(curves: Sequence[tuple[tuple[str, str], Group]], end_ms: float) -> str:
    axes = _Axes((0.0, end_ms), (0.0, 100.0))
    x_ticks = {float(at): f"{at:g}" for at in np.arange(0.0, end_ms, _round_step(end_ms / 6.0))}
    body = axes.frame(x_ticks, {v: f"{v:.0f} %" for v in (0.0, 25.0, 50.0, 75.0, 100.0)}, "capture to control [ms]",
                      "frames answered")  # fmt: skip
    for (colour, dash), group in curves:
        if not len(group.latencies_s):
            continue
        shares = np.linspace(0.0, 1.0, min(len(group.latencies_s), _MAX_CURVE))
        values = np.minimum(np.quantile(group.latencies_s, shares, method="inverted_cdf") * 1e3, end_ms)
        path = " ".join(f"{axes.x(v):.1f},{axes.y(100 * s):.1f}" for v, s in zip(values, shares, strict=True))
        body += f'<polyline class="curve" points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>'
    return body


def _series(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """Policy, SoC and weights, as far as they differ -> its groups, a link each."""
    series: dict[str, list[Group]] = {}
    for group in groups:
        setting = group.setting
        series.setdefault(f"{setting.policy}, {setting.soc}, {setting.weights}", []).append(group)
    return dict(zip(_shortened(list(series)), series.values(), strict=True))


def _look(number: int) -> tuple[str, str]:
    """Colour and dashes of the n-th series."""
    return COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)]


def place_map(group: Group) -> str:
    """Where the car was, north up, in the colour of what became of the frame seen there; one map a town."""
    maps = []
    for town in sorted({drive.town for drive in group.drives}):
        spots: list[tuple[float, float, str]] = []
        for drive in group.drives:
            if drive.town == town and len(drive.spots):
                kept = _thinned(drive.spots)
                spots += [(float(drive.spots[i, 0]), float(drive.spots[i, 1]), drive.placements[i]) for i in kept]
        mishaps = [m for drive in group.drives if drive.town == town for m in drive.mishaps if m.x is not None]
        if spots:
            maps.append(_map(town, spots, [(m.x or 0.0, m.y or 0.0, f"{m.kind}: {m.message}") for m in mishaps]))
    return "".join(maps)


def _map(town: str, spots: Sequence[tuple[float, float, str]], mishaps: Sequence[tuple[float, float, str]]) -> str:
    xs, ys = [s[0] for s in spots], [s[1] for s in spots]
    margin = 12.0
    west, north = min(xs) - margin, max(ys) + margin
    width, height = max(xs) - west + margin, north - min(ys) + 2.0 * margin  # room for the scale bar below
    scale = 400.0 / max(width, height)
    place = lambda x, y: ((x - west) * scale, (north - y) * scale)  # noqa: E731 (two uses, one line)
    body = []
    for what, colour in PLACE_COLOURS.items():
        dots = "".join("M{:.0f} {:.0f}h0".format(*place(x, y)) for x, y, placement in spots if placement == what)
        if dots:
            body.append(f'<path class="spots" d="{dots}" stroke="{colour}"/>')
    for x, y, text in mishaps:
        at_x, at_y = place(x, y)
        body.append(
            f'<path class="mishap" d="M{at_x - 4:.1f} {at_y - 4:.1f}l8 8m0-8l-8 8"><title>{escape(text)}</title></path>'
        )
    bar = _round_step(width / 4.0)
    base = height * scale - 6.0
    body.append(
        f'<path class="axis" d="M6 {base:.1f}h{bar * scale:.1f}"/><text x="6" y="{base - 5:.1f}">{bar:g} m</text>'
    )
    drawn = _svg(f"Where stages ran, {town}", "".join(body), round(width * scale), round(height * scale))
    return f"<figure>{drawn}<figcaption>{escape(town)}</figcaption></figure>"


def _thinned(spots: FloatArray) -> list[int]:
    kept, last = [0], spots[0]
    for i in range(1, len(spots)):
        if math.dist(spots[i], last) >= _SPOT_M:
            kept.append(i)
            last = spots[i]
    return kept


def _link_label(link: str, groups: Sequence[Group]) -> str:
    up = [group.up_mbps for group in groups if math.isfinite(group.up_mbps)]
    rtt = [group.rtt_ms for group in groups if math.isfinite(group.rtt_ms)]
    if not up or max(up) == 0.0:
        return link
    return f"{link}\n{np.mean(up):.0f} Mbit/s, {np.mean(rtt):.0f} ms" if rtt else f"{link}\n{np.mean(up):.0f} Mbit/s"


def _shortened(names: Sequence[str]) -> list[str]:
    """Without the parts that all of them share."""
    columns = list(zip(*(name.split(", ") for name in names), strict=True))
    telling = [i for i, column in enumerate(columns) if i == 0 or len(set(column)) > 1]
    return [", ".join(name.split(", ")[i] for i in telling) for name in names]


def _round_step(about: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above."""
    power = 10.0 ** math.floor(math.log10(max(about, 1e-9)))
    return next(power * factor for factor in (5.0, 2.0, 1.0) if power * factor <= about * (1.0 + 1e-9))
