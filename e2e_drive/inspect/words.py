"""Plain words -> which detectors are meant, and which part of the log.

"latency spikes after 10 s", "did it nearly hit anyone in the last 20 seconds?", "everything except flapping". Times are
cut out first; what is left is matched against what each detector is called, by keywords, and what has none of them by
the sentence encoder. Words that name no detector ask for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bev import FloatArray
from e2e_drive.errors import UserError
from e2e_drive.inspect.findings import Finding, Kind

Encoder = Callable[[Sequence[str]], FloatArray]  # sentences -> (N, D) of length 1

# What each detector finds, as people say it without naming it: the encoder compares with these.
EXAMPLES: Mapping[Kind, tuple[str, ...]] = {
    Kind.CUT: (
        "the log is cut off", "the recording is truncated or damaged", "the file ends too early",
        "was the recording complete",
    ),
    Kind.DROPOUT: (
        "a sensor dropped out", "camera pictures are missing", "a camera went black or blind",
        "gaps in the sensor data", "a camera is broken",
    ),
    Kind.FROZEN: (
        "a camera image is frozen", "the same frame is repeated", "duplicated pictures", "the video stands still",
        "a camera hangs",
    ),
    Kind.TIME_JUMP: (
        "the clock jumps", "timestamps are wrong or go backwards", "a discontinuity of time", "clock out of step",
    ),
    Kind.LATENCY: (
        "latency spikes", "the answer came too late", "slow response of the network", "delays and dropped answers",
    ),
    Kind.FLAPPING: (
        "the schedule is flapping", "stages hop back and forth between car and edge", "placement keeps changing",
        "the scheduler is unstable", "stages bounce between computers",
    ),
    Kind.JERKY: (
        "jerky driving", "the planned trajectory is shaky", "steering oscillates", "the ride is not smooth",
        "the car wobbles",
    ),
    Kind.DISAGREEMENT: (
        "the model disagrees with the label", "the plan differs from the ground truth",
        "wrong prediction of the network", "the planned path is off",
    ),
    Kind.NEAR_MISS: (
        "near misses", "it almost hit a pedestrian", "dangerously close to another vehicle", "nearly a collision",
        "almost a crash",
    ),
}  # fmt: skip
# Beginnings of words that name it.
KEYWORDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CUT: ("cut", "truncat", "damage", "corrupt", "incomplete"),
    Kind.DROPOUT: (
        "dropout", "drop out", "dropped out", "missing", "gap", "black", "blind", "lost", "silent", "sensor", "outage",
    ),
    Kind.FROZEN: ("froze", "freez", "stuck", "duplicat", "repeat", "same picture", "same frame", "same image"),
    Kind.TIME_JUMP: ("time jump", "jump", "clock", "timestamp", "time stamp", "backward"),
    Kind.LATENCY: ("latenc", "delay", "late", "slow", "lag", "spike", "respon"),
    Kind.FLAPPING: ("flap", "schedul", "placement", "hop", "switch", "back and forth", "place"),
    Kind.JERKY: ("jerk", "shak", "smooth", "oscillat", "swing", "wobbl", "twitch", "comfort", "zigzag", "steer"),
    Kind.DISAGREEMENT: ("disagree", "label", "ground truth", "predict", "expert", "differ", "mistake"),
    Kind.NEAR_MISS: (
        "near miss", "near-miss", "nearly", "almost", "close", "hit", "crash", "collision", "collid", "pedestrian",
        "danger",
    ),
}  # fmt: skip
_ENOUGH, _AS_GOOD = 0.42, 0.07  # likeness (cosine) from which words mean a detector; how far behind the best
_BUT = re.compile(r"\b(?:except(?: for)?|but (?:not|no)|without|ignor\w+|apart from|other than)\b")
_AND = re.compile(r"\s*(?:,|;|\band\b|\bor\b|\bplus\b|&)\s*")
_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "sixty": 60, "a": 1, "half a": 0.5,
}  # fmt: skip
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = r"(ms|milliseconds?|s|secs?|seconds?|min|mins?|minutes?|h|hours?)\b"
_NUMBER = rf"(\d+(?:\.\d+)?|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_TIME = rf"{_NUMBER}\s*{_UNIT}"
_BETWEEN = re.compile(rf"\b(?:between|from)\s+{_NUMBER}\s*(?:{_UNIT})?\s*(?:and|to|until|-)\s*{_TIME}")
_LAST = re.compile(rf"\b(?:in |during |over |within |of )?(?:the )?(?:last|final)\s+(?:{_TIME}|(second|minute)\b)")
_FIRST = re.compile(rf"\b(?:in |during |over |within |of )?(?:the )?first\s+(?:{_TIME}|(second|minute)\b)")
_AFTER = re.compile(rf"\b(?:after|since|from|later than|past)\s+(?:the first\s+)?{_TIME}(?:\s+on(?:wards?)?)?")
_BEFORE = re.compile(rf"\b(?:before|until|till|up to|earlier than)\s+{_TIME}")
_AT = re.compile(rf"\b(?:at|around|about|near)\s+(?:about\s+)?{_TIME}")
_AROUND_S = 2.0


@dataclass(frozen=True)
class Question:
    """kinds: what is looked for. from_s, to_s: part of the log; None: its beginning, its end;
    negative: before the end."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    from_s: float | None = None
    to_s: float | None = None

    def window(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """In the stamps of a log that goes from begin_s to end_s."""
        lower = begin_s if self.from_s is None else self.from_s + (end_s if self.from_s < 0.0 else 0.0)
        upper = end_s if self.to_s is None else self.to_s + (end_s if self.to_s < 0.0 else 0.0)
        return lower, upper

    def takes(self, finding: Finding, begin_s: float, end_s: float) -> bool:
        lower, upper = self.window(begin_s, end_s)
        return finding.kind in self.kinds and finding.to_s >= lower and finding.from_s <= upper

    def __str__(self) -> str:
        what = "everything" if len(self.kinds) == len(Kind) else ", ".join(kind.value for kind in self.kinds)
        if self.from_s is not None and self.from_s < 0.0:
            return f"{what}, in the last {-self.from_s:g} s"
        begin = "" if self.from_s is None else f" from {self.from_s:g} s"
        end = "" if self.to_s is None else f" up to {self.to_s:g} s"
        return f"{what}{',' if begin or end else ''}{begin}{end}"


def question_of(words: str, encoder: Encoder | None = None) -> Question:
    """encoder: None, to go by keywords alone."""
    left, from_s, to_s = _cut_times(" ".join(words.lower().split()))
    if from_s is not None and to_s is not None and 0.0 <= to_s < from_s:
        raise UserError(f"{words!r} asks for {from_s:g} s up to {to_s:g} s, which is no time at all")
    wanted, unwanted = ((*_BUT.split(left, maxsplit=1), "")[:2]) if _BUT.search(left) else (left, "")
    kinds = _kinds(wanted, encoder) or set(Kind)
    kinds -= _kinds(unwanted, encoder)
    return Question(tuple(kind for kind in Kind if kind in kinds), from_s, to_s)


def _kinds(words: str, encoder: Encoder | None) -> set[Kind]:
    clauses = [clause for clause in _AND.split(words) if clause.strip(" ?.!")]
    found: set[Kind] = set()
    for clause in clauses:
        kinds = _by_keywords(clause)
        found |= kinds if kinds or encoder is None else _by_likeness(clause, encoder)
    return found


def _by_keywords(clause: str) -> set[Kind]:
    """The detectors whose words fit, those of the longest fitting words first."""
    fits = {
        kind: max((len(word) for word in words if re.search(rf"\b{re.escape(word)}", clause)), default=0)
        for kind, words in KEYWORDS.items()
    }
    best = max(fits.values())
    return {kind for kind, length in fits.items() if 0 < length == best}


def _by_likeness(clause: str, encoder: Encoder) -> set[Kind]:
    (vector,) = encoder([clause])
    best = {kind: float((vectors @ vector).max()) for kind, vectors in _examples(encoder).items()}
    top = max(best.values())
    return {kind for kind, value in best.items() if value >= max(_ENOUGH, top - _AS_GOOD)}


@lru_cache(maxsize=2)
def _examples(encoder: Encoder) -> dict[Kind, FloatArray]:
    return {kind: encoder(examples) for kind, examples in EXAMPLES.items()}


def _cut_times(words: str) -> tuple[str, float | None, float | None]:
    """(the rest, from, to) in seconds; a negative from counts from the end."""
    from_s: float | None = None
    to_s: float | None = None
    for pattern in (_BETWEEN, _LAST, _FIRST, _AFTER, _BEFORE, _AT):
        found = pattern.search(words)
        if found is None:
            continue
        parts = found.groups()
        if pattern is _BETWEEN:
            from_s, to_s = _seconds(parts[0], parts[1] or parts[3]), _seconds(parts[2], parts[3])
        elif pattern in (_LAST, _FIRST):
            lasts_s = _seconds(parts[0] or "1", parts[1] or parts[2])
            from_s, to_s = (-lasts_s, to_s) if pattern is _LAST else (from_s, lasts_s)
        elif pattern is _AFTER:
            from_s = _seconds(parts[0], parts[1])
        elif pattern is _BEFORE:
            to_s = _seconds(parts[0], parts[1])
        elif from_s is None and to_s is None:
            middle_s = _seconds(parts[0], parts[1])
            from_s, to_s = max(0.0, middle_s - _AROUND_S), middle_s + _AROUND_S
        words = f"{words[: found.start()]} {words[found.end() :]}"
    return words.strip(), from_s, to_s


def _seconds(number: str, unit: str) -> float:
    value = _NUMBERS[number] if number in _NUMBERS else float(number)
    return value * _UNITS["ms" if unit.startswith(("ms", "mil")) else unit[0]]
