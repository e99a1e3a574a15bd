"""Pictures of a rig of ours made of foreign ones, against the same scenery looked at directly."""

from __future__ import annotations

import numpy as np
import pytest

from bev import Camera, CameraRig, FloatArray, ImageArray
from e2e_drive.errors import UserError
from e2e_drive.exchange import SourceCamera, own_views, views_of_rig

SHIFT = np.array([7.3, -4.6])  # of the optical axis from the middle of their pictures [px]


def scenery(rays: FloatArray) -> ImageArray:
    """Colour by direction alone: a world that is infinitely far."""
    x, y, z = np.moveaxis(rays / np.linalg.norm(rays, axis=-1, keepdims=True), -1, 0)
    waves = [np.sin(9.0 * x + 4.0 * z), np.sin(11.0 * y - 1.0), np.sin(7.0 * z + 5.0 * x * y)]
    return np.round(128.0 + 100.0 * np.stack(waves, axis=-1)).astype(np.uint8)


def source(name: str, yaw_deg: float, fov_deg: float = 70.0, pitch_deg: float = 0.0) -> tuple[SourceCamera, ImageArray]:
    camera = Camera(
        name, 640, 360, np.radians(fov_deg), 0.3, 0.1, 1.5, np.radians(yaw_deg), np.radians(pitch_deg), 0.02
    )
    lens = camera.intrinsics
    lens[:2, 2] += SHIFT
    v, u = np.meshgrid(np.arange(360) + 0.5, np.arange(640) + 0.5, indexing="ij")
    optical = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(lens).T
    picture = scenery(optical @ camera.ego_from_optical[:3, :3].T)
    return SourceCamera(name, 640, 360, lens, camera.ego_from_optical), picture


THEIRS = {s.name: (s, p) for s, p in (source("ahead", 0.0), source("left", 55.0, pitch_deg=3.0), source("back", 180.0))}
SOURCES = [s for s, _ in THEIRS.values()]


def of(name: str) -> ImageArray:
    return THEIRS[name][1]


def looked_at(camera: Camera) -> ImageArray:
    return scenery(camera.rays(camera.height, camera.width))


def test_a_view_across_two_cameras_is_the_scenery() -> None:
    camera = Camera("front_left", 256, 128, np.radians(96.0), 0.7, 0.2, 1.6, np.radians(42.0))
    (view,) = views_of_rig(CameraRig((camera,)), SOURCES, {}, 0.5)
    assert set(view.sources) == {"ahead", "left"}
    seen = np.zeros((128, 256), bool)
    for piece in view.pieces:
        assert not (seen & piece.seen).any()  # every pixel comes from one camera
        seen |= piece.seen
    assert view.seen_share == pytest.approx(seen.mean())
    picture = view.picture(of).astype(int)
    assert (picture[~seen] == 0).all()
    assert np.abs(picture - looked_at(view.camera))[seen].mean() < 1.5
    assert np.abs(picture - looked_at(view.camera))[seen].max() < 16


def test_their_own_cameras_look_through_the_middle() -> None:
    for view in own_views(SOURCES):
        name = view.camera.name
        assert view.sources == (name,)
        np.testing.assert_allclose(view.camera.ego_from_optical, THEIRS[name][0].ego_from_optical, atol=1e-12)
        inner = (slice(10, -10), slice(10, -10))
        assert np.abs(view.picture(of).astype(int) - looked_at(view.camera))[inner].max() <= 2


def test_a_picture_that_fits_is_not_touched() -> None:
    camera = Camera("c", 64, 48, 1.0, 0.0, 0.0, 1.5, 0.4)
    (view,) = own_views([SourceCamera("c", 64, 48, camera.intrinsics, camera.ego_from_optical)])
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    assert view.picture(lambda _: noise) is noise


def test_what_nobody_sees_is_told() -> None:
    rig = CameraRig((Camera("right", 256, 128, 1.0, 0.7, -0.2, 1.6, np.radians(-90.0)),))
    with pytest.raises(
        UserError, match=r"camera right of the rig is missing: 0 % of its picture is seen, by no camera"
    ):
        views_of_rig(rig, SOURCES, {}, 0.5)
