"""What a recording answers when a client asks: texts laid out as CARLA's recorder lays them out, so that scripts which
look for `Frames:`, `Duration:` or the columns of a table find them."""

from __future__ import annotations

from carla_bridge.embedded.actors import ActorKind
from carla_bridge.embedded.recordings import RecordedActor, Recording

CONTACT_PAUSE_S = 1.0  # [simulated s] two things that stay in contact have collided once
_LETTERS = {ActorKind.VEHICLE: "v", ActorKind.WALKER: "w", ActorKind.TRAFFIC_LIGHT: "t"}
_STATES = ("red", "yellow", "green", "off")


def file_info(recording: Recording, *, everything: bool) -> str:
    """Who came and went, and with `everything` also where everybody was in each frame."""
    lines = _head(recording)
    for frame in recording.frames:
        told = [
            f" Create {actor.id}: {actor.type_id} ({int(actor.kind)}) at "
            f"({actor.pose.x:.2f}, {actor.pose.y:.2f}, {actor.pose.z:.2f})"
            for actor in frame.added
        ]
        for actor in frame.added:
            told += [f"  {name} = {value}" for name, (_, value) in actor.attributes.items()]
        told += [f" Destroy {actor_id}" for actor_id in frame.removed]
        told += [f" Collision {one} with {two}" for one, two in frame.collisions]
        if everything:
            told += [f" Light {actor_id}: {_STATES[state]}" for actor_id, state in frame.lights]
            told += [
                f" Position {row['id']}: ({row['pose'][0]:.2f}, {row['pose'][1]:.2f}, {row['pose'][2]:.2f}), "
                f"yaw {row['pose'][4]:.1f}"
                for row in frame.moving
            ]
        if told:
            lines += [f"Frame {frame.number} at {frame.elapsed_s:g} seconds", *told]
    return _text([*lines, "", *_tail(recording)])


def collisions(recording: Recording, first: str, second: str) -> str:
    """Collisions of one kind of actor with another: h hero, v vehicle, w walker, t light, o other, a any."""
    actors = recording.actors()
    lines = [*_head(recording), f"{'Time':>8}  Types {'Id':>6} {'Actor 1':<35} {'Id':>6} {'Actor 2':<35}"]
    last: dict[tuple[int, int], float] = {}
    for frame in recording.frames:
        for one, two in frame.collisions:
            quiet_s = frame.elapsed_s - last.get((one, two), -CONTACT_PAUSE_S)
            last[one, two] = last[two, one] = frame.elapsed_s
            if quiet_s < CONTACT_PAUSE_S:
                continue
            for left, right in ((one, two), (two, one)):
                if first in _letters(actors.get(left)) and second in _letters(actors.get(right)):
                    pair = f"{_letters(actors.get(left))[0]} {_letters(actors.get(right))[0]}"
                    lines.append(
                        f"{frame.elapsed_s:>8.2f}  {pair:<5} {left:>6} {_name(actors, left):<35} "
                        f"{right:>6} {_name(actors, right):<35}"
                    )
                    break
    return _text([*lines, "", *_tail(recording)])


def blocked(recording: Recording, least_time_s: float, least_distance_cm: float) -> str:
    """Vehicles and walkers that did not come farther than a distance for at least some time."""
    actors = recording.actors()
    stays: list[tuple[float, int, float]] = []  # since when, who, how long
    anchors: dict[int, tuple[float, float, float]] = {}
    for frame in recording.frames:
        for row in frame.moving:
            actor_id, x, y = int(row["id"]), float(row["pose"][0]), float(row["pose"][1])
            since_s, x0, y0 = anchors.setdefault(actor_id, (frame.elapsed_s, x, y))
            if 100.0 * ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5 > least_distance_cm:
                stays.append((since_s, actor_id, frame.elapsed_s - since_s))
                anchors[actor_id] = frame.elapsed_s, x, y
        for actor_id in frame.removed:
            if actor_id in anchors:
                since_s = anchors.pop(actor_id)[0]
                stays.append((since_s, actor_id, frame.elapsed_s - since_s))
    stays += [(since_s, actor_id, recording.duration_s - since_s) for actor_id, (since_s, _, _) in anchors.items()]
    lines = [*_head(recording), f"{'Time':>8} {'Id':>6} {'Actor':<35} {'Duration':>10}"]
    for since_s, actor_id, seconds in sorted(stays):
        if seconds >= least_time_s:
            lines.append(f"{since_s:>8.2f} {actor_id:>6} {_name(actors, actor_id):<35} {seconds:>10.2f}")
    return _text([*lines, "", *_tail(recording)])


def _letters(actor: RecordedActor | None) -> str:
    """The kinds that an actor counts as, the most telling first."""
    if actor is None:
        return "oa"
    hero = "h" if actor.attributes.get("role_name", (0, ""))[1] == "hero" else ""
    return f"{hero}{_LETTERS.get(actor.kind, 'o')}a"


def _name(actors: dict[int, RecordedActor], actor_id: int) -> str:
    return actors[actor_id].type_id if actor_id in actors else "static"


def _head(recording: Recording) -> list[str]:
    return ["Version: 1", f"Map: {recording.town}", f"Date: {recording.date}", ""]


def _tail(recording: Recording) -> list[str]:
    return [f"Frames: {len(recording.frames)}", f"Duration: {recording.duration_s:g} seconds"]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
