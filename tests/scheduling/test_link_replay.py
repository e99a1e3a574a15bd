"""Traces: what a file says is what happens, the past is all that a forecast knows, and errors say where."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from scheduling import LinkGeometry, RadioConfig, RadioLink
from scheduling.link import Recording, TraceConfig, TraceLink, drive_geometry, read_trace, record, write_trace

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "link" / "example.csv"
NOWHERE = LinkGeometry(0, 1.0, True, 0)
GOOD = "time_s,up_mbps,down_mbps,rtt_ms\n0,10,20,30\n0.1,5,10,40\n0.2,0,0,0\n0.3,8,9,10\n"


def link_of(path: Path, text: str, **options: str | float) -> TraceLink:
    path.write_text(text, encoding="utf-8")
    return TraceLink.configured(str(path), **options)


def synthetic(seed: int, rows: int) -> Recording:
    return record(RadioLink(RadioConfig(seed=seed)), list(islice(drive_geometry(seed, "urban"), rows)))


def test_the_shipped_example_is_a_recording_of_our_own_radio_link():
    """Made by: write_trace(EXAMPLE, synthetic(1, 400))."""
    for name, column in synthetic(1, 400).columns.items():
        np.testing.assert_allclose(read_trace(EXAMPLE).columns[name], column, atol=2e-3, err_msg=name)


def test_a_recording_survives_the_file(tmp_path: Path):
    made = synthetic(2, 100)
    write_trace(tmp_path / "trace.csv", made)
    read = read_trace(tmp_path / "trace.csv")
    for name, column in made.columns.items():
        np.testing.assert_array_equal(read.columns[name], column)


def test_rows_hold_until_the_next_and_begin_again_or_stay(tmp_path: Path):
    loop = link_of(tmp_path / "a.csv", GOOD)
    hold = link_of(tmp_path / "b.csv", GOOD, at_end="hold")
    seen = {"loop": [], "hold": []}
    for i in range(9):
        time_s = 50.0 + 0.1 * i
        for name, link in (("loop", loop), ("hold", hold)):
            state = link.step(NOWHERE, time_s, 0.1)
            seen[name].append(state.up_bps / 1e6 if state.available else 0.0)
            assert link.truth().at(time_s) == state
    assert seen["loop"] == [10.0, 5.0, 0.0, 8.0, 10.0, 5.0, 0.0, 8.0, 10.0]
    assert seen["hold"] == [10.0, 5.0, 0.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    # 5 Mbit/s at 50.5 s for 0.1 s, nothing for 0.1 s, then 8 Mbit/s.
    loop = link_of(tmp_path / "a.csv", GOOD)
    for time_s in (50.0, 50.5):
        loop.step(NOWHERE, time_s, 0.1)
    assert loop.truth().finish(50.5, 0.9e6 / 8, up=True) == pytest.approx(50.75)


def test_truth_agrees_with_later_steps_whatever_the_rows(tmp_path: Path):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.03, 0.4, 60))
    rows = "".join(f"{t},{u},{u},30\n" for t, u in zip(times, rng.uniform(1, 9, 60), strict=True))
    link = link_of(tmp_path / "trace.csv", "time_s,up_mbps,down_mbps,rtt_ms\n" + rows)
    for i in range(400):
        link.step(NOWHERE, 0.07 * i, 0.07)
        told, later = link.truth(), replace_link(link)
        for ahead_s in (0.2, 0.55, 0.9):
            assert told.at(0.07 * i + ahead_s) == later.step(NOWHERE, 0.07 * i + ahead_s, ahead_s)


def replace_link(link: TraceLink) -> TraceLink:
    other = TraceLink(Recording(link._columns), link.config)
    other.step(NOWHERE, 0.0, 0.0)
    return other


def test_no_forecast_reads_a_row_of_the_future():
    """Two traces with one past and other futures: equal forecasts until they part, to the last bit."""
    one = synthetic(3, 300)
    changed = {name: column.copy() for name, column in one.columns.items()}
    for name in ("up_mbps", "down_mbps", "rtt_ms", "wan_rtt_ms"):
        changed[name][200:] *= 7.0
    links = [TraceLink(recording, TraceConfig("", past_s=5.0)) for recording in (one, Recording(changed))]
    for i in range(300):
        for link in links:
            link.step(NOWHERE, 0.1 * i, 0.1)
        first, second = (link.forecast(16, 0.1) for link in links)
        same = all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True))
        assert same == (i < 200), i


def test_forecasts_of_a_trace_cover_the_truth():
    """Most of the time what comes true lies inside the middle 90 % of the futures, and they are not just wide."""
    recording = synthetic(5, 1500)
    link = TraceLink(recording, TraceConfig(""))
    inside, widths = [], []
    for i in range(1400):
        link.step(NOWHERE, 0.1 * i, 0.1)
        if i < 300:
            continue
        futures, truth = link.forecast(128, 0.15), link.truth().at(0.1 * i + 0.2 + 1e-6)
        low, high = np.percentile(futures.rtt_s, [5, 95])
        inside.append(low <= truth.rtt_s <= high)
        widths.append(high - low)
    assert 0.82 < np.mean(inside) < 0.97
    assert np.mean(widths) < np.ptp(np.percentile(recording.columns["rtt_ms"], [1, 99])) / 1000.0


def test_two_replays_are_equal(tmp_path: Path):
    one, two = (TraceLink(synthetic(4, 50), TraceConfig("", seed=7)) for _ in range(2))
    for i in range(80):
        assert one.step(NOWHERE, 0.1 * i, 0.1) == two.step(NOWHERE, 0.1 * i, 0.1)
        np.testing.assert_array_equal(one.forecast(8).up_bps, two.forecast(8).up_bps)
    assert replace(one.config, seed=8) != one.config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.replace("0.1,5,10,40", "0.1,5,abc,40"),
            "row 3: column down_mbps must be a number of 0 or more",
        ),
        (
            GOOD.replace("0.1,5,10,40", "0.1,-5,10,40"),
            "row 3: column up_mbps must be .*, received '-5'",
        ),
        (GOOD.replace("0.1,5,10,40", "0.0,5,10,40"), "row 3: column time_s must increase, received 0.0 after 0.0"),
        (GOOD.replace("0.1,5,10,40", "0.1,5,10"), "row 3: 4 values are needed, received 3"),
        (GOOD.replace("rtt_ms", "ping"), "row 1: one column rtt_ms is needed, received time_s,up_mbps,down_mbps,ping"),
        (
            "time_s,up_mbps,down_mbps,rtt_ms,loss\n0,1,1,1,1.5\n",
            "row 2: column loss must be a number in .0, 1.",
        ),
        ("time_s,up_mbps,down_mbps,rtt_ms\n", "row 2: at least one row of values is needed, received none"),
        ("", "row 1: one column time_s is needed, received nothing"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str, said: str):
    with pytest.raises(ValueError, match=said) as error:
        link_of(tmp_path / "bad.csv", text)
    assert "bad.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told_too():
    with pytest.raises(ValueError, match="no such file"):
        TraceLink.configured("nowhere/trace.csv")
