"""A folder of drives -> one self-contained HTML page: nothing is loaded from anywhere, so it can be mailed.

Clips are inside the page as long as they fit into a budget, the rest lie beside it in a folder. Links to logs and
timelines are relative to where the page lies.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from e2e_drive.report.cells import mean, number, table, word
from e2e_drive.report.charts import PLACE_COLOURS, latency_curves, legend, place_map, score_by_link
from e2e_drive.report.clips import cut_clip
from e2e_drive.report.drives import DriveData, Mishap
from e2e_drive.report.files import LOG, RESULTS, TIMELINE, VIDEO, write_text
from e2e_drive.report.groups import Group, group_drives, what_differs
from e2e_drive.report.matrix import matrices
from e2e_drive.report.matrix_section import matrix_section

_FILES = {RESULTS: "results", LOG: "log", TIMELINE: "timeline", VIDEO: "video"}
_HEADS = {"policy": "policy", "link": "link", "soc": "SoC", "weights": "weights"}  # of a setting's fields
_HERE = Path(__file__).resolve().parent


@dataclass
class _ClipShelf:
    """Hands out clips: in the page while there is room, then as files beside it."""

    page: Path
    room_bytes: int
    progress: Callable[[], object] = lambda: None
    beside: int = 0

    def show(self, drive: DriveData, mishap: Mishap) -> str:
        """HTML of the clip, or of the reason why there is none."""
        self.progress()
        video = drive.file(VIDEO)
        if video is None:
            return '<p class="note">no clip: the drive has no video</p>'
        if mishap.time_s is None:
            return '<p class="note">no clip: its time is not known</p>'
        clip = cut_clip(video, mishap.time_s - drive.video_from_s)
        if clip is None:
            return '<p class="note">no clip: the video does not reach so far</p>'
        poster = _data("image/jpeg", clip.poster)
        if len(clip.mp4) <= self.room_bytes:
            self.room_bytes -= len(clip.mp4)
            source = _data("video/mp4", clip.mp4)
        else:
            self.beside += 1
            file = self.page.with_name(f"{self.page.stem}_clips") / f"{self.beside:04d}.mp4"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(clip.mp4)
            source = _link(file, self.page)
        return (
            f'<video controls muted playsinline preload="none" poster="{poster}" src="{source}"></video>'
            f'<img src="{poster}" alt="the moment itself">'
        )


def write_page(
    drives: Sequence[DriveData], page: Path, title: str, clips_mb: float, progress: Callable[[], object] = lambda: None
) -> None:
    """progress is called once an infraction."""
    page.parent.mkdir(parents=True, exist_ok=True)
    groups = group_drives(drives)
    matrix = "".join(map(matrix_section, matrices(groups)))
    names = what_differs(group.setting for group in groups)
    shelf = _ClipShelf(page, round(clips_mb * 1e6), progress)
    body = "".join([
        _head(drives, title, bool(matrix)),
        f'<div id="policies">{matrix}</div>' if matrix else "",
        '<h2 id="scores">Scores</h2>' + _groups_table(groups, names),
        '<h2 id="figures">Driving score against link quality</h2>'
        f'<div class="chart">{score_by_link(groups)}</div>'
        f"<h2>Latency, of frames that were answered</h2>{latency_curves(groups)}",
        '<h2 id="map">Where stages ran</h2>' + _maps(groups, names),
        '<h2 id="infractions">Infractions</h2>' + _mishaps(drives, shelf, names),
        '<h2 id="drives">Drives</h2>' + _drives_table(drives, page),
    ])  # fmt: skip
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "sort.js"))
    write_text(
        page,
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{style}</style></head>\n'
        f"<body>{body}<script>{script}</script></body></html>\n",
    )


def _head(drives: Sequence[DriveData], title: str, has_matrix: bool) -> str:
    about = drives[0].about
    versions, machine = about.get("versions", {}), about.get("machine", {})
    rules = ", ".join(sorted({drive.rules for drive in drives}))
    facts = [
        f"{len(drives)} drives, {len({d.route for d in drives})} routes, {len({d.seed for d in drives})} seeds",
        rules,
        f"world {about.get('server', '?')}",
        f"e2e-drive {versions.get('e2e-drive', '?')}, torch {versions.get('torch', '?')}",
        f"{machine.get('processor', '?')}, {machine.get('cpus', '?')} CPUs",
    ]
    names = (*(["policies"] if has_matrix else []), "scores", "figures", "map", "infractions", "drives")
    links = "".join(f'<a href="#{name}">{name.capitalize()}</a>' for name in names)
    about_line = " · ".join(escape(fact) for fact in facts)
    return f'<h1>{escape(title)}</h1><p class="about">{about_line}</p><nav>{links}</nav>'


def _groups_table(groups: Sequence[Group], names: Sequence[str]) -> str:
    heads = [*(f"{_HEADS[name]}!" for name in names), "drives", "driving score", "completion %", "penalty", "success %",
             "p50 ms", "p95 ms", "p99 ms", "frames ran!", "infractions"]  # fmt: skip
    rows = []
    for group in groups:
        setting, score = group.setting, group.scores
        latency = [number(value, 0) for value in group.latency_ms] or ["<td>–</td>"] * 3
        shares = "".join(
            f'<span title="{escape(what)} {100 * share:.1f} %" style="width:{100 * share:.2f}%;'
            f'background:{PLACE_COLOURS[what]}"></span>'
            for what, share in group.placements.items()
            if share > 0
        )
        rows.append("".join([
            *(word(getattr(setting, name)) for name in names),
            number(len(group.drives), 0),
            mean(score["score_composed"], 1), mean(score["score_route"], 1),
            mean(score["score_penalty"], 3), number(100 * group.success, 0), *latency,
            f'<td class="word"><div class="bar">{shares}</div></td>',
            number(sum(len(drive.mishaps) for drive in group.drives), 0),
        ]))  # fmt: skip
    over = sorted({group.scores["score_composed"].over for group in groups} - {""})
    alike = [getattr(groups[0].setting, name) for name in _HEADS if name not in names]
    note = f"All rows: {', '.join(alike)}. " if alike else ""
    note += f"95 % intervals over {', '.join(over)}" if over else "One drive a row: no intervals"
    method = "Student's t: over the seeds' means where there are three seeds, over single drives where there are fewer"
    return (
        table(heads, rows)
        + legend((colour, what) for what, colour in PLACE_COLOURS.items())
        + f'<p class="note">{escape(note)} ({escape(method)}).</p>'
    )


def _maps(groups: Sequence[Group], names: Sequence[str]) -> str:
    maps = "".join(
        f"<section><h3>{escape(group.setting.title(names))}</h3>{drawn}</section>"
        for group in groups
        if (drawn := place_map(group))
    )
    key = legend((colour, what) for what, colour in PLACE_COLOURS.items())
    note = '<p class="note">North is up; one dot every few metres, a cross where there was an infraction.</p>'
    return f'{key}{note}<div class="maps">{maps}</div>' if maps else "<p>No log tells where stages ran.</p>"


def _mishaps(drives: Sequence[DriveData], shelf: _ClipShelf, names: Sequence[str]) -> str:
    cards = []
    for drive in drives:
        for mishap in drive.mishaps:
            when = "" if mishap.time_s is None else f"after {mishap.time_s:.1f} s"
            where = "" if mishap.x is None else f" at x={mishap.x:.0f}, y={mishap.y:.0f} m"
            cards.append(
                f'<div class="clip"><h3>{escape(mishap.kind.replace("_", " "))}</h3>{shelf.show(drive, mishap)}'
                f"<p>{escape(mishap.message)}</p>"
                f'<p class="note">{escape(drive.name)}: {when}{where}<br>{escape(drive.setting.title(names))}</p></div>'
            )
    return f'<div class="clips">{"".join(cards)}</div>' if cards else "<p>None.</p>"


def _drives_table(drives: Sequence[DriveData], page: Path) -> str:
    heads = [
        "drive!",
        "route!",
        "seed",
        "policy!",
        "link!",
        "score",
        "completion %",
        "status!",
        "infractions",
        "files!",
    ]
    rows = []
    for drive in drives:
        files = " ".join(
            f'<a href="{_link(path, page)}">{text}</a>' for name, text in _FILES.items() if (path := drive.file(name))
        )
        rows.append("".join([
            word(drive.name), word(drive.route), number(drive.seed, 0), word(drive.setting.policy),
            word(drive.setting.link), number(drive.scores["score_composed"], 1),
            number(drive.scores["score_route"], 1), word(str(drive.record["status"])),
            number(len(drive.mishaps), 0), f'<td class="word">{files}</td>',
        ]))  # fmt: skip
    note = (
        "Logs open in Foxglove, Lichtblick and Rerun; timelines in ui.perfetto.dev. The links hold as long as page and "
        "drives stay where they are to each other."
    )
    return table(heads, rows) + f'<p class="note">{escape(note)}</p>'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _link(target: Path, page: Path) -> str:
    return quote(Path(os.path.relpath(target.resolve(), page.resolve().parent)).as_posix())
