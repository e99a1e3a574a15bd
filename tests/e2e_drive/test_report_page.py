"""The report on made-up drives: what is on the page, that it stands alone, and that its clips are videos."""

import base64
import io
import json
import re
from pathlib import Path

import av
import html5lib
import numpy as np
import pytest

from bev import Pose2D
from e2e_drive.errors import UserError
from e2e_drive.logs import DriveLog, EgoTruth
from e2e_drive.report.clips import cut_clip
from e2e_drive.report.drives import DriveData, find_drives, read_folder
from e2e_drive.report.groups import estimate, group_drives, reach_of_mean
from e2e_drive.report.matrix import in_words, matrices
from e2e_drive.report.page import write_page
from e2e_drive.scores import RouteRecord, results_json

HIT = "with vehicle.a<b at 3.0 m/s at (x=12.000, y=5.000) after 4.50 s"
FPS = 10


def write_video(path: Path, seconds: float = 8.0) -> None:
    """Each picture as bright as it is late."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for i in range(round(seconds * FPS)):
            picture = np.full((180, 320, 3), 2 * i, dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


def write_drive(
    folder: Path, policy: str, link: str, seed: int, completion: float, video: bool = False, fine: bool = True
) -> None:
    folder.mkdir(parents=True)
    infractions = {"collisions_vehicle": [HIT]} if video else {}
    record = RouteRecord(0, "r_00", 300.0, 60.0, completion, infractions)
    (folder / "results.json").write_text(json.dumps(results_json([record], 1, ())), encoding="utf-8")
    run = {"seeds": {"seed": seed}, "config": {"driver": "model", "weights": "little", "world": {"town": "Gridley"}},
           "choices": {"scheduler": policy, "link": link, "soc": "xavier"},
           "overrides": ["link.rtt_s=0.1"] if link == "good" and fine else []}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    with DriveLog(folder / "drive.mcap", {}) as log:
        log.truth(EgoTruth(10, Pose2D(12.0, 5.0, 0.0), 3.0, 0.0), 0.5)
    if video:
        write_video(folder / "drive.mp4")


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[DriveData]:
    root = tmp_path_factory.mktemp("study")
    for seed, completion in ((0, 80.0), (1, 100.0)):
        write_drive(root / f"1/r_00-seed{seed}", "exact", "urban", seed, completion)
    write_drive(root / "2/r_00-seed0", "edge_only", "good", 0, 50.0, video=True)
    return [read_folder(folder, root) for folder in find_drives(root)]


def test_intervals_are_over_seeds(drives: list[DriveData]) -> None:
    edge, exact = group_drives(drives)
    assert (edge.setting.policy, exact.setting.policy) == ("edge_only", "exact")
    assert edge.setting.link == "good link.rtt_s=0.1"
    score = exact.scores["score_composed"]
    assert score.mean == pytest.approx(90.0)
    assert score.over == "2 drives"
    assert (
        score.low == 0.0
    )  # t(0.975) of one degree of freedom, 12.7 times a standard error of 10, and no score is negative
    assert score.high == 100.0
    assert exact.success == 0.5  # 80 % is no completed route
    assert estimate(edge.drives, "score_composed").over == ""
    assert edge.scores["score_composed"].mean == pytest.approx(50.0 * 0.6)


def test_the_page_stands_alone_and_shows_everything(drives: list[DriveData], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(drives, page, "A study & its drives", clips_mb=1.0)
    text = page.read_text(encoding="utf-8")
    parser = html5lib.HTMLParser(strict=True, tree=html5lib.getTreeBuilder("etree"))
    document = parser.parse(text)  # strict: raises for anything that is not HTML as the standard has it
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//|@import|url\(", text)
    assert "vehicle.a&lt;b" in text
    rows = document.findall(".//{*}tbody/{*}tr")
    assert len(rows) == 2 + 3
    (clip,) = document.findall(".//{*}video")
    kind, _, content = clip.attrib["src"].partition(";base64,")
    assert kind == "data:video/mp4"
    with av.open(io.BytesIO(base64.b64decode(content))) as video:
        assert sum(1 for _ in video.decode(video=0)) == pytest.approx(4.0 * FPS, abs=1)
    links = [a.attrib["href"] for a in document.findall(".//{*}td/{*}a")]
    assert len(links) == 2 * 3 + 1
    assert all((tmp_path / link).resolve().is_file() for link in links)


def test_clips_that_do_not_fit_lie_beside_the_page(drives: list[DriveData], tmp_path: Path) -> None:
    write_page(drives, tmp_path / "report.html", "small", clips_mb=0.0)
    assert (tmp_path / "report_clips/0001.mp4").is_file()
    assert 'src="report_clips/0001.mp4"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_clip_shows_the_moment(tmp_path: Path) -> None:
    write_video(tmp_path / "drive.mp4")
    clip = cut_clip(tmp_path / "drive.mp4", 4.0)
    assert clip is not None
    with av.open(io.BytesIO(clip.mp4)) as video:
        brightness = [frame.to_ndarray(format="rgb24").mean() for frame in video.decode(video=0)]
    assert brightness[0] == pytest.approx(2 * 10, abs=4)  # 3 s before
    assert brightness[-1] == pytest.approx(2 * 50, abs=4)  # 1 s after
    with av.open(io.BytesIO(clip.poster)) as picture:
        assert next(picture.decode(video=0)).to_ndarray(format="rgb24").mean() == pytest.approx(2 * 40, abs=4)
    assert cut_clip(tmp_path / "drive.mp4", 60.0) is None
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "drive.mp4").read_bytes()[:500])
    assert cut_clip(tmp_path / "cut.mp4", 1.0) is None


def test_an_interval_is_students() -> None:
    # by hand: mean 92, s = sqrt((144 + 16 + 64) / 2) = 10.583, t(0.975, 2) = 4.3027
    assert reach_of_mean([80.0, 96.0, 100.0]) == pytest.approx(4.3027 * 10.583 / 3**0.5, rel=1e-4)
    assert reach_of_mean([80.0]) == 0.0


def test_the_matrix_says_where_ours_keeps_its_promise(tmp_path: Path) -> None:
    completions = {
        ("exact", "good"): (90.0, 100.0), ("oracle", "good"): (92.0, 100.0), ("edge_only", "good"): (70.0, 90.0),
        ("exact", "urban"): (60.0, 70.0), ("oracle", "urban"): (80.0, 90.0), ("edge_only", "urban"): (75.0, 75.0),
    }  # fmt: skip
    for (policy, link), both in completions.items():
        for seed, completion in enumerate(both):
            write_drive(tmp_path / f"{policy}/{link}/r_00-seed{seed}", policy, link, seed, completion, fine=False)
    drives = [read_folder(folder, tmp_path) for folder in find_drives(tmp_path)]
    (matrix,) = matrices(group_drives(drives))
    assert matrix.policies == ("edge_only", "exact", "oracle")
    good, urban = (next(v for v in matrix.verdicts if v.link == link) for link in ("good", "urban"))
    assert good.is_kept
    assert good.to_oracle is not None
    assert good.to_oracle.mean == pytest.approx(-1.0)
    assert good.to_oracle.low == pytest.approx(-1.0 - 12.706, abs=0.01)  # s = sqrt(2) of -2 and 0
    assert urban.to_best is not None
    assert (urban.is_close, urban.is_ahead, urban.to_best.mean) == (False, False, pytest.approx(-10.0))
    whole, urban_told = in_words(matrix)
    assert whole.startswith("Ours is within 3 points of the oracle and ahead of every other policy in 1 of 2")
    assert urban_told.startswith("Under urban it is 20.0 points behind the oracle")
    assert "10.0 points behind edge_only" in urban_told
    told_oracle, told_best = urban_told.split(" and ", 1)
    assert "chance" not in told_oracle  # 20 points, both times
    assert "; 2 pairs cannot tell that from chance)" in told_best  # 15 and 5 points: s = 7.07, reach 63.5
    write_page(drives, tmp_path / "report.html", "matrix", clips_mb=0.0)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert whole in text
    assert urban_told in text
    assert "<b>95.0</b>" in text


def test_a_folder_without_drives_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no drive in there"):
        find_drives(tmp_path)
