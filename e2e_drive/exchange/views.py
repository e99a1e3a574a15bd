"""Pictures of a rig of ours, made of those of foreign cameras.

All lenses are taken to sit in one point, so that a pixel of ours is found in a picture of theirs by its direction
alone: right for what is far, and out by the angle under which the way between both lenses appears for what is near.
Each pixel comes from the camera that sees it nearest to its optical axis; what none sees is black.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from bev import Camera, CameraRig, FloatArray, ImageArray
from e2e_drive.errors import UserError
from e2e_drive.exchange.foreign import SourceCamera

_MOUNT_FROM_OPTICAL = Camera("straight ahead", 8, 8, 1.0, 0.0, 0.0, 0.0).ego_from_optical[:3, :3]
_SAME_PX = 1e-3  # a map that moves no pixel by more leaves the picture alone


@dataclass(frozen=True)
class _Piece:
    """What one source gives to a view. size: (width, height) that its picture is shrunk to first, so that no detail
    aliases. u, v: (H, W) where each pixel lies in the shrunk picture. seen: (H, W) which pixels are taken from there.
    as_is: it is the picture of the view, unchanged."""

    source: str
    size: tuple[int, int]
    u: npt.NDArray[np.float32]
    v: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]
    as_is: bool


@dataclass(frozen=True)
class View:
    """A camera of the log, how its picture is made, and the share of it (0..1) that some source sees."""

    camera: Camera
    pieces: tuple[_Piece, ...]
    seen_share: float

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(piece.source for piece in self.pieces)

    def picture(self, of: Callable[[str], ImageArray]) -> ImageArray:
        """of: source camera -> its picture (H, W, 3)."""
        out = np.zeros((self.camera.height, self.camera.width, 3), np.uint8)
        for piece in self.pieces:
            image = of(piece.source)
            if piece.as_is:
                return image
            shrunk = cv2.resize(image, piece.size, interpolation=cv2.INTER_AREA)
            moved = cv2.remap(shrunk, piece.u, piece.v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            out[piece.seen] = moved[piece.seen]
        return out


def own_views(cameras: Sequence[SourceCamera]) -> tuple[View, ...]:
    """Their own cameras, with square pixels and the optical axis in the middle of the picture."""
    return tuple(_view(own_camera(source), [source]) for source in cameras)


def views_of_rig(
    rig: CameraRig, cameras: Sequence[SourceCamera], mapping: Mapping[str, Sequence[str]], least_seen: float
) -> tuple[View, ...]:
    """Our cameras, each made of the sources that `mapping` names, else of all that see some of it. Direction and lens
    are those of the rig, the place is that of the source that gives most. least_seen: share of every picture that must
    be seen."""
    known = {camera.name: camera for camera in cameras}
    for name, sources in mapping.items():
        if name not in rig.names:
            raise UserError(f"cameras.{name}: the rig has no such camera; its cameras are {', '.join(rig.names)}")
        for source in sources:
            if source not in known:
                raise UserError(
                    f"cameras.{name}: camera {source} is missing in the source; there are {', '.join(known)}"
                )
    views = []
    for camera in rig.cameras:
        view = _view(camera, [known[name] for name in mapping.get(camera.name, known)])
        if view.seen_share < least_seen:
            raise UserError(
                f"camera {camera.name} of the rig is missing: {100 * view.seen_share:.0f} % of its picture is seen, by "
                f"{' and '.join(view.sources) or 'no camera of the source'}, least_seen={least_seen} is needed; "
                f"there are {', '.join(known)}"
            )
        main = max(view.pieces, key=lambda piece: int(piece.seen.sum())).source
        x, y, z = known[main].ego_from_optical[:3, 3].tolist()
        views.append(replace(view, camera=replace(camera, x=x, y=y, z=z)))
    return tuple(views)


def own_camera(source: SourceCamera) -> Camera:
    """The pinhole camera of ours that looks through a source's lens."""
    turn = source.ego_from_optical[:3, :3] @ _MOUNT_FROM_OPTICAL.T
    yaw, pitch, roll = Rotation.from_matrix(turn).as_euler("ZYX").tolist()
    x, y, z = source.ego_from_optical[:3, 3].tolist()
    fov_rad = 2.0 * float(np.arctan(source.width / 2.0 / source.intrinsics[0, 0]))
    return Camera(source.name, source.width, source.height, fov_rad, x, y, z, yaw, pitch, roll)


def _view(camera: Camera, sources: Sequence[SourceCamera]) -> View:
    rays = camera.rays(camera.height, camera.width)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    best = np.zeros(rays.shape[:2])
    found: list[tuple[SourceCamera, FloatArray, npt.NDArray[np.bool_]]] = []
    for source in sources:
        optical = rays @ source.ego_from_optical[:3, :3]
        ahead = optical[..., 2]
        pixels = (optical @ source.intrinsics.T)[..., :2] / np.maximum(ahead, 1e-6)[..., None]
        inside = ((pixels >= 0.0) & (pixels <= (source.width, source.height))).all(axis=-1) & (ahead > 1e-6)
        better = inside & (ahead > best)
        best = np.where(better, ahead, best)
        found = [(other, where, seen & ~better) for other, where, seen in found]
        found.append((source, pixels, better))
    pieces = tuple(_piece(camera, *item) for item in found if item[2].any())
    return View(camera, pieces, float((best > 0.0).mean()))


def _piece(camera: Camera, source: SourceCamera, pixels: FloatArray, seen: npt.NDArray[np.bool_]) -> _Piece:
    scale = min(1.0, float(camera.intrinsics[0, 0] / source.intrinsics[0, 0]))
    size = (round(source.width * scale), round(source.height * scale))
    where = pixels * (size[0] / source.width, size[1] / source.height) - 0.5  # OpenCV counts from a pixel's middle
    rows, columns = np.indices(seen.shape)
    still = np.abs(where - np.stack([columns, rows], axis=-1)).max() < _SAME_PX
    as_is = bool(still and seen.all() and size == (camera.width, camera.height))
    u, v = np.moveaxis(where, -1, 0).astype(np.float32)
    return _Piece(source.name, size, u, v, seen, as_is)
