"""Plain words -> detectors and a part of the log."""

from __future__ import annotations

import pytest

from e2e_drive.inspect import Kind, Question, question_of

ALL = set(Kind)


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("", ALL),
        ("what is wrong here?", ALL),
        ("latency spikes", {Kind.LATENCY}),
        ("did it nearly hit anyone?", {Kind.NEAR_MISS}),
        ("frozen cameras and time jumps", {Kind.FROZEN, Kind.TIME_JUMP}),
        ("everything except near misses", ALL - {Kind.NEAR_MISS}),
        ("schedule flapping, jerky steering", {Kind.FLAPPING, Kind.JERKY}),
        ("sensor dropouts or a truncated file", {Kind.DROPOUT, Kind.CUT}),
        ("where does the model disagree with the label", {Kind.DISAGREEMENT}),
    ],
)
def test_keywords_choose_detectors(words: str, kinds: set[Kind]) -> None:
    assert set(question_of(words).kinds) == kinds


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ("latency", (0.0, 60.0)),
        ("latency after 10 s", (10.0, 60.0)),
        ("latency before 1.5 minutes", (0.0, 90.0)),
        ("latency between 10 and 20 seconds", (10.0, 20.0)),
        ("latency from 500 ms to 3 s", (0.5, 3.0)),
        ("latency in the last 20 seconds", (40.0, 60.0)),
        ("latency in the first half a minute", (0.0, 30.0)),
        ("latency during the last minute", (0.0, 60.0)),
        ("latency around 12 s", (10.0, 14.0)),
        ("latency after 10 s before 20 s", (10.0, 20.0)),
    ],
)
def test_times_choose_a_part(words: str, window: tuple[float, float]) -> None:
    question = question_of(words)
    assert question.kinds == (Kind.LATENCY,)
    assert question.window(0.0, 60.0) == pytest.approx(window)


def test_a_question_says_what_was_understood() -> None:
    assert str(question_of("any trouble in the last 5 s?")) == "everything, in the last 5 s"
    assert str(question_of("latency after 10 s")) == "latency spike, from 10 s"
    assert str(Question()) == "everything"
