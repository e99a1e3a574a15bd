"""The link benchmark without a world: recorded drives in, quantiles out."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from e2e_drive.bench.link import LinkBenchConfig, Track, ping, read_tracks, run, write_tracks
from e2e_drive.errors import UserError
from scheduling import LinkState, LinkTrace, RadioConfig, RadioLink
from scheduling.link import drive_geometry


def tracks(frames: int = 300) -> list[Track]:
    return [Track("Nowhere", car, tuple(islice(drive_geometry(car, "tunnel"), frames))) for car in range(3)]


def test_recorded_drives_survive_the_file(tmp_path: Path) -> None:
    write_tracks(tmp_path / "a.csv", tracks())
    assert read_tracks(tmp_path / "a.csv") == tracks()


def test_a_bad_recording_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_tracks(path, tracks(5))
    text = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*text[:3], text[3].replace("Nowhere,0,0.2,", "Nowhere,0,0.2,x")]), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.csv: row 4: .*'x"):
        read_tracks(path)
    with pytest.raises(UserError, match="no such file"):
        read_tracks(tmp_path / "b.csv")


def test_a_ping_waits_for_the_end_of_a_gap() -> None:
    on, off = LinkState(8e6, 8e6, 0.03, 0.0, 0, wan_rtt_s=0.05), LinkState(8e6, 8e6, 0.03, 0.0, 0, False)
    trace = LinkTrace((0.0, 0.1, 0.14), (on, off, on))
    sent_s = 64 * 8 / 8e6
    assert ping(trace, 0.0) == pytest.approx((0.03 + sent_s, 0.08 + sent_s))
    assert ping(trace, 0.11) == pytest.approx((0.06 + sent_s, 0.11 + sent_s))
    assert ping(LinkTrace.constant(off), 0.0) is None


def test_the_benchmark_measures_what_was_recorded(tmp_path: Path) -> None:
    write_tracks(tmp_path / "a.csv", tracks())
    config = LinkBenchConfig(link_seeds=2, read=str(tmp_path / "a.csv"))
    first, second = (run(config, RadioLink(RadioConfig(seed=5))) for _ in range(2))
    assert first == second
    metrics = first["metrics"]
    assert metrics["km"] == pytest.approx(sum(track.km for track in tracks()))
    assert metrics["pings"] / (1.0 - metrics["ping_lost_share"]) == pytest.approx(2 * 3 * 150)
    judged = [row["factor"] for row in first["rows"] if row["judged"]]
    assert len(judged) == 6
    assert metrics["worst_quantile_factor"] == max(judged) >= 1.0
    assert metrics["cloud_rtt_p50_ms"] > metrics["edge_rtt_p50_ms"]
    held = [geometry for track in tracks() for geometry in track.geometry if geometry.rsu < 0]
    assert metrics["outage_share"] >= len(held) / 900


def test_options_are_checked() -> None:
    assert LinkBenchConfig.from_options(towns=["Gridley"]).towns == ("Gridley",)
    with pytest.raises(ValueError, match="received 9"):
        LinkBenchConfig(cars=3, recorded=9)
