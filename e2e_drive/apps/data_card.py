"""The data card of a collection: what it holds, in numbers and pictures, so that nobody has to trust it unseen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from bev import BevClass, BevGrid, BoxKind, Camera, CameraRig
from e2e_drive.errors import UserError
from e2e_drive.logs import BoxLabel, Labels, read_drive
from e2e_drive.logs.reader import CAMERA_PREFIX, DEPTH_PREFIX, read_run
from e2e_drive.report.contact_sheet import Picture, Row, contact_sheet
from e2e_drive.report.files import write_text
from e2e_drive.report.histogram import grid, histogram
from e2e_drive.report.labelled_frame import SEEN, draw_labelled
from planner import Light, Manoeuvre

CARD, SHEET, HISTOGRAMS = "data_card.md", "data_card.jpg", "data_card_histograms.png"
_PICTURES_A_TOWN = 2
_JPEG_QUALITY = 88


@dataclass
class Tally:
    """Grows log by log. Everything is counted over frames with pictures, tracks over all frames."""

    logs: int = 0
    frames: int = 0
    labelled: int = 0
    bytes: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    cells: np.ndarray = field(default_factory=lambda: np.zeros(len(BevClass) + 1))  # of each class, then unknown
    tracks: int = 0
    picks: dict[str, list[tuple[float, Path, float]]] = field(default_factory=dict)  # town -> (score, log, time)

    def count(self, what: str, name: str) -> None:
        self.counts.setdefault(what, Counter())[name] += 1

    def note(self, what: str, value: float) -> None:
        self.values.setdefault(what, []).append(value)


def write_card(out: Path) -> None:
    """Reads every log of a folder; writes the card and its pictures beside them."""
    logs = sorted(out.glob("run_*.mcap"))
    if not logs:
        raise UserError(f"{out} holds no drive logs (run_*.mcap) to describe")
    tally = Tally()
    for log in tqdm(logs, desc="describing", unit="drive", dynamic_ncols=True):
        add_log(tally, log)
    notes = [json.loads(note.read_text(encoding="utf-8")) for note in sorted(out.glob("run_*.json"))]
    _save(out / HISTOGRAMS, grid(_histograms(tally), 2))
    rows = [row for town in sorted(tally.picks) for row in _rows(town, tally.picks[town])]
    _save(out / SHEET, contact_sheet("Labels", f"{tally.frames:,} frames of {tally.logs} drives", rows))
    write_text(out / CARD, card_text(tally, notes))


def add_log(tally: Tally, log: Path) -> None:
    about = _about(log)
    town, weather = about.get("town", "unknown"), about.get("weather", "unknown")
    first = json.loads(about["rig"])[0]["name"]
    topics = frozenset({"/ego", "/hint", "/labels", CAMERA_PREFIX + first})
    tracks: set[int] = set()
    best: dict[int, tuple[float, Path, float]] = {}
    moment: dict[str, Any] = {}
    for entry in read_drive(log, topics):
        if entry.topic == "/ego":
            moment = {}
        moment[entry.topic] = entry.value
        if entry.topic != "/labels":
            continue
        labels: Labels = entry.value
        tally.labelled += 1
        tracks.update(box.track_id for box in labels.boxes or ())
        if CAMERA_PREFIX + first in moment:
            _add_frame(tally, moment, labels)
            for what, name in (("town", town), ("weather", weather)):
                tally.count(what, name)
            shifted = int(labels.virtual_offset.y != 0.0)
            best[shifted] = max(best.get(shifted, (-1.0, log, 0.0)), (_interest(labels), log, entry.time_s))
    tally.logs, tally.bytes, tally.tracks = tally.logs + 1, tally.bytes + log.stat().st_size, tally.tracks + len(tracks)
    tally.picks.setdefault(town, []).extend(best.values())


def _about(log: Path) -> Mapping[str, str]:
    about = read_run(log)
    if "rig" not in about:
        raise UserError(f"{log} does not say with which cameras it was recorded: it is no log of this collection")
    return about


def _add_frame(tally: Tally, moment: Mapping[str, Any], labels: Labels) -> None:
    tally.frames += 1
    seen = [box for box in labels.boxes or () if box.visible >= SEEN]
    tally.count("manoeuvre", Manoeuvre(labels.manoeuvre).name.lower())
    tally.count("what limits the speed", labels.stop_reason or "nothing")
    tally.count("command", moment["/hint"].command.name.lower())
    tally.count("light", Light(labels.light).name.lower())
    tally.count("seen from", "a shifted place" if labels.virtual_offset.y else "where the car is")
    tally.note("speed", moment["/ego"].speed_mps)
    tally.note("target speed", labels.target_speed_mps)
    tally.note("vehicles", sum(box.kind != BoxKind.PEDESTRIAN for box in seen))
    tally.note("pedestrians", sum(box.kind == BoxKind.PEDESTRIAN for box in seen))
    for box in labels.boxes or ():
        tally.count("box", _box_name(box))
        tally.note("visible", box.visible)
        if box.visible >= SEEN:
            tally.note("distance", float(np.hypot(box.x, box.y)))
    if labels.light:
        tally.note("light distance", labels.light_distance_m)
    if labels.bev_unknown is not None:
        shares = [*labels.bev.mean(axis=(1, 2)), labels.bev_unknown.mean()]
        tally.cells[: len(shares)] += shares


def _box_name(box: BoxLabel) -> str:
    hidden = "" if box.visible >= SEEN else ", hidden"
    return BoxKind(box.kind).name.lower().replace("_", "-") + hidden


def _interest(labels: Labels) -> float:
    """More is to be seen where more stands near."""
    near = [box for box in labels.boxes or () if box.visible >= SEEN and np.hypot(box.x, box.y) < 35.0]
    return len(near) + 2.0 * len({box.kind for box in near}) + 2.0 * float(labels.bev[BevClass.STOP].any())


def _histograms(tally: Tally) -> list[Picture]:
    def drawn(what: str, title: str, unit: str, edges: Iterable[float]) -> Picture:
        return histogram(title, unit, tally.values.get(what, []), list(edges))

    return [
        drawn("speed", "Speed", "m/s", np.arange(0.0, 12.6, 0.5)),
        drawn("target speed", "Target speed", "m/s", np.arange(0.0, 12.6, 0.5)),
        drawn("vehicles", "Vehicles seen in a frame", "count", np.arange(0.0, 21.0)),
        drawn("pedestrians", "Pedestrians seen in a frame", "count", np.arange(0.0, 21.0)),
        drawn("distance", "Distance of what is seen", "m", np.arange(0.0, 61.0, 3.0)),
        drawn("visible", "Visible share of all boxes", "share", np.linspace(0.0, 1.0, 11)),
        drawn("light distance", "Distance to the line of our light", "m", np.arange(0.0, 51.0, 2.5)),
    ]


def _rows(town: str, picks: list[tuple[float, Path, float]]) -> Iterable[Row]:
    """One frame from the car's place, one from a shifted one, of different drives where there are several."""
    chosen: list[tuple[float, Path, float]] = []
    for pick in sorted(picks, key=lambda one: (-one[0], one[1], one[2])):
        if len(chosen) < _PICTURES_A_TOWN and (len(picks) <= _PICTURES_A_TOWN or pick[1] not in [c[1] for c in chosen]):
            chosen.append(pick)
    for i, (_, log, time_s) in enumerate(chosen):
        yield Row({f"{log.name} at {time_s:.2f} s": picture_of(log, time_s)}, town if i == 0 else "")


def picture_of(log: Path, time_s: float) -> Picture:
    """The labelled frame of a log at a time; UserError where it has none."""
    about = _about(log)
    rig = CameraRig(tuple(Camera(**camera) for camera in json.loads(about["rig"])))
    found: dict[str, Any] = {}
    for entry in read_drive(log, from_s=time_s - 1e-6):
        if entry.time_s > time_s + 1e-6:
            break
        if abs(entry.time_s - time_s) < 1e-6:
            found[entry.topic] = entry.value
    missing = [name for name in rig.names if CAMERA_PREFIX + name not in found]
    if missing or "/labels" not in found:
        raise UserError(f"{log} has no labelled frame at {time_s:.2f} s; pictures missing: {missing or 'none'}")
    labels, ego, hint = found["/labels"], found["/ego"], found["/hint"]
    words = (
        f"{about.get('town')}, {about.get('weather')}, t {time_s:.2f} s",
        f"speed {ego.speed_mps:.1f}, target {labels.target_speed_mps:.1f} m/s, stood {ego.standing_s:.1f} s",
        f"{Manoeuvre(labels.manoeuvre).name.lower()}" + (f" ({labels.stop_reason})" if labels.stop_reason else ""),
        f"light {Light(labels.light).name.lower()}" + (f" at {labels.light_distance_m:.0f} m" if labels.light else ""),
        f"{hint.command.name.lower()} in {hint.distance_m:.0f} m",
        f"{len(labels.boxes or ())} boxes, {sum(box.visible >= SEEN for box in labels.boxes or ())} seen",
        f"shifted {labels.virtual_offset.y:.2f} m, {np.degrees(labels.virtual_offset.yaw):.1f} deg",
    )
    images = {name: found[CAMERA_PREFIX + name] for name in rig.names}
    depths = {name: found[DEPTH_PREFIX + name] for name in rig.names if DEPTH_PREFIX + name in found}
    return draw_labelled(images, depths, labels, rig, BevGrid(), words)


def card_text(tally: Tally, notes: list[Mapping[str, Any]]) -> str:
    """The card in Markdown."""
    dropped = [note for note in notes if not note["frames"]]
    cut = [note for note in notes if note["frames"] and note["ended_by"] not in ("enough frames", "Completed")]
    parts = [
        "# Data card\n",
        "Drives of the privileged expert in the embedded world, recorded by `e2e-drive collect`; "
        "`e2e-drive collect card_only=true` made this card from the logs beside it.\n",
        "| | |\n|---|---|",
        f"| drives | {tally.logs} |",
        f"| frames with pictures, depth and labels | {tally.frames:,} |",
        f"| frames with labels alone (the car stands) | {tally.labelled - tally.frames:,} |",
        f"| tracks | {tally.tracks:,} |",
        f"| size | {tally.bytes / 1e9:.2f} GB, {tally.bytes / 1e3 / max(tally.frames, 1):.0f} kB a frame |",
        f"| runs dropped | {len(dropped)} of {len(notes)} |",
        f"| runs cut before an error | {len(cut)} |\n",
        f"![Labels over pictures]({SHEET})\n",
        f"![Histograms]({HISTOGRAMS})\n",
    ]
    for what, counter in tally.counts.items():
        unit, total = ("boxes", sum(counter.values())) if what == "box" else ("frames", tally.frames)
        parts += [f"| {what} | {unit} | share |\n|---|---|---|"]
        parts += [f"| {name} | {n:,} | {100.0 * n / max(total, 1):.1f} % |" for name, n in counter.most_common()]
        parts.append("")
    parts.append("| seen from above | share of cells |\n|---|---|")
    names = [item.name.lower().replace("_", " ") for item in BevClass] + ["unknown (hidden)"]
    parts += [
        f"| {name} | {100.0 * share / max(tally.frames, 1):.3f} % |"
        for name, share in zip(names, tally.cells, strict=True)
    ]
    for title, which in (("dropped", dropped), ("cut", cut)):
        reasons = Counter(str(note["ended_by"]).partition(":")[0] for note in which)
        parts += ["", f"| runs {title}: why | runs |\n|---|---|", *[f"| {r} | {n} |" for r, n in reasons.most_common()]]
    return "\n".join(parts) + "\n"


def _save(path: Path, picture: Picture) -> None:
    """Whole or not at all."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    ok, data = cv2.imencode(path.suffix, picture[:, :, ::-1], options)
    if not ok:
        raise UserError(f"{path}: a picture of shape {picture.shape} cannot be compressed")
    part = path.with_name(path.name + ".part")
    part.write_bytes(data.tobytes())
    part.replace(path)
