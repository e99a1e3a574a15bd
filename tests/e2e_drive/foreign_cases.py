"""Small recordings after the published layouts, written with CARLA's own transforms and with quaternions."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import carla
import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from bev import FloatArray, ImageArray

# Bench2Drive's six cameras: x, y (right), z, yaw (clockwise), fov; and a size that tests are quick with
WIDTH, HEIGHT = 320, 180
B2D_CAMERAS = {
    "CAM_FRONT": (0.80, 0.0, 1.60, 0.0, 70.0),
    "CAM_FRONT_LEFT": (0.27, -0.55, 1.60, -55.0, 70.0),
    "CAM_FRONT_RIGHT": (0.27, 0.55, 1.60, 55.0, 70.0),
    "CAM_BACK": (-2.0, 0.0, 1.60, 180.0, 110.0),
    "CAM_BACK_LEFT": (-0.32, -0.55, 1.60, -110.0, 70.0),
    "CAM_BACK_RIGHT": (-0.32, 0.55, 1.60, 110.0, 70.0),
}
B2D_SPEED, B2D_YAW_RATE = 6.0, -0.2  # [m/s]; [rad/s] of CARLA: to the left
BASE, EXTENT = carla.Location(0.1, 0.05, 0.75), carla.Vector3D(2.45, 0.95, 0.75)  # of the ego's box, in its actor
MARK = carla.Location(140.0, -62.0, 3.0)  # a light in the world


def b2d_transform(frame: int) -> carla.Transform:
    """A left-hand bend in CARLA's world."""
    radius, angle = B2D_SPEED / B2D_YAW_RATE, B2D_YAW_RATE * 0.1 * frame
    place = carla.Location(100.0 + radius * math.sin(angle), -50.0 + radius * (1.0 - math.cos(angle)), 0.3)
    return carla.Transform(place, carla.Rotation(yaw=math.degrees(angle)))


def moved(by: carla.Transform, x: float, y: float, z: float) -> carla.Location:
    """A place of the frame of `by` in the world; CARLA's own function changes what it is given."""
    place = by.transform(carla.Location(x, y, z))
    return carla.Location(place.x, place.y, place.z)


def b2d_pixel(camera: dict[str, Any], place: carla.Location) -> tuple[FloatArray, float]:
    """Pixel and depth by the published recipe: world2cam, then (y, -z, x), then the intrinsics."""
    x, y, z, _ = np.array(camera["world2cam"]) @ (place.x, place.y, place.z, 1.0)
    u, v, w = np.array(camera["intrinsic"]) @ (y, -z, x)
    return np.array([u / w, v / w]), float(x)


def write_b2d(folder: Path, frames: int = 6, pictures: bool = True) -> Path:
    """One clip: the ego, another car ahead of it, a parked one, a pedestrian, a traffic light."""
    (folder / "anno").mkdir(parents=True)
    for frame in range(frames):
        anno = b2d_anno(frame)
        with gzip.open(folder / "anno" / f"{frame:05d}.json.gz", "wt", encoding="utf-8") as file:
            json.dump(anno, file)
        for name in B2D_CAMERAS if pictures else ():
            path = folder / "camera" / name.replace("CAM_", "rgb_").lower() / f"{frame:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixel, depth = b2d_pixel(anno["sensors"][name], MARK)
            save(path, marked(pixel if depth > 0 else None))
    return folder


def b2d_anno(frame: int) -> dict[str, Any]:
    ego, x, y = b2d_transform(frame), 500.0, -300.0
    ahead = carla.Transform(moved(ego, 20.0, 2.0, 0.0), carla.Rotation(yaw=ego.rotation.yaw + 30.0))
    parked = carla.Transform(carla.Location(130.0, -45.0, 0.2), carla.Rotation(yaw=90.0))
    walker = carla.Transform(carla.Location(120.0, -60.0, 1.2), carla.Rotation(yaw=-90.0))
    return {
        "x": x, "y": y, "throttle": 0.5, "steer": -0.25, "brake": 0.0, "reverse": False, "theta": float("nan"),
        "speed": None if frame == 0 else B2D_SPEED, "x_command_far": x + 60.0, "y_command_far": y + 80.0,
        "command_far": 3, "x_command_near": x + 12.0, "y_command_near": y - 16.0, "command_near": 1 if frame else 4,
        "should_brake": 0, "x_target": 0.0, "y_target": 0.0, "next_command": 4, "weather": {},
        "acceleration": [0.0, 0.0, 9.8], "angular_velocity": [0.0, 0.0, B2D_YAW_RATE],
        "bounding_boxes": [
            _box("ego_vehicle", "25", "vehicle.lincoln.mkz_2020", ego, BASE, EXTENT, "world2ego"),
            _box("vehicle", "31", "vehicle.audi.tt", ahead, carla.Location(0.0, 0.0, 0.7),
                 carla.Vector3D(2.1, 1.0, 0.7), "world2vehicle", state="dynamic"),
            _box("vehicle", "88", "/Game/Carla/Static/Car/Parked", parked, carla.Location(0.0, 0.0, 0.8),
                 carla.Vector3D(2.3, 0.9, 0.8), "world2vehicle", state="static", rotation=[0.0, 0.0, 0.0]),
            _box("walker", "52", "walker.pedestrian.0004", walker, carla.Location(0.0, 0.0, 0.0),
                 carla.Vector3D(0.2, 0.2, 0.9), "world2ped"),
            {"class": "traffic_light", "id": "7", "location": [150.0, -50.0, 0.0], "rotation": [0.0, 0.0, 0.0]},
        ],
        "sensors": {
            **{name: _b2d_camera(ego, *values) for name, values in B2D_CAMERAS.items()},
            "TOP_DOWN": _b2d_camera(ego, 0.0, 0.0, 50.0, 0.0, 110.0), "LIDAR_TOP": {},
        },
        "only_ap_brake": False,
    }  # fmt: skip


def _b2d_camera(ego: carla.Transform, x: float, y: float, z: float, yaw: float, fov: float) -> dict[str, Any]:
    mount = carla.Transform(carla.Location(x, y, z), carla.Rotation(yaw=yaw))
    cam2ego, world2ego = np.array(mount.get_matrix()), np.array(ego.get_inverse_matrix())
    focal = WIDTH / (2.0 * math.tan(math.radians(fov) / 2.0))
    return {
        "intrinsic": [[focal, 0.0, WIDTH / 2], [0.0, focal, HEIGHT / 2], [0.0, 0.0, 1.0]],
        "world2cam": (np.linalg.inv(cam2ego) @ world2ego).tolist(),
        "cam2ego": cam2ego.tolist(),
        "fov": fov,
        "image_size_x": WIDTH,
        "image_size_y": HEIGHT,
    }


def _box(
    kind: str,
    actor: str,
    type_id: str,
    at: carla.Transform,
    middle: carla.Location,
    extent: carla.Vector3D,
    matrix: str,
    **changed: Any,
) -> dict[str, Any]:
    centre, place, turn = moved(at, middle.x, middle.y, middle.z), at.location, at.rotation
    return {
        "class": kind,
        "id": actor,
        "type_id": type_id,
        "location": [place.x, place.y, place.z],
        "rotation": [turn.pitch, turn.roll, turn.yaw],
        "bbx_loc": [middle.x, middle.y, middle.z],
        "center": [centre.x, centre.y, centre.z],
        "extent": [extent.x, extent.y, extent.z],
        "speed": 5.5,
        matrix: at.get_inverse_matrix(),
        **changed,
    }


def marked(pixel: FloatArray | None, width: int = WIDTH, height: int = HEIGHT) -> ImageArray:
    """Dim grey with a bright red disc."""
    picture = np.full((height, width, 3), 60, np.uint8)
    if pixel is not None and np.abs(pixel).max() < 4000.0:
        centre = tuple(round(16.0 * (float(value) - 0.5)) for value in pixel)
        cv2.circle(picture, centre, 16 * 3, (255, 0, 0), -1, lineType=cv2.LINE_AA, shift=4)
    return picture


def disc(picture: ImageArray) -> FloatArray | None:
    """Middle of the red disc, pixel centres at +0.5; None if there is none."""
    redness = np.clip(picture[..., 0].astype(float) - picture[..., 2].astype(float) - 60.0, 0.0, None)
    if redness.sum() < 200.0:
        return None
    rows, columns = np.indices(redness.shape) + 0.5
    return np.array([(columns * redness).sum(), (rows * redness).sum()]) / redness.sum()


def save(path: Path, picture: ImageArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


# nuScenes: name -> yaw (left positive, degrees), place in its ego frame (rear axle), focal length in pixels
NUS_CAMERAS = {
    "CAM_FRONT": (0.0, (1.70, 0.02, 1.51), 255.0),
    "CAM_FRONT_LEFT": (55.0, (1.52, 0.49, 1.51), 255.0),
    "CAM_FRONT_RIGHT": (-55.0, (1.55, -0.49, 1.51), 255.0),
    "CAM_BACK": (180.0, (0.03, 0.0, 1.58), 160.0),
}
NUS_MIDDLE = (163.3, 98.3)  # the optical axis is not in the middle of the picture
NUS_SPEED, NUS_YAW = 8.0, 2.2  # straight on, [m/s] and [rad]
NUS_BEGIN = 1_532_402_927_612_460  # us
NUS_MARK = np.array([985.0, 640.0, 4.0])


def nus_place(time_s: float) -> FloatArray:
    """(3,) of the rear axle."""
    return np.array(
        [1010.0 + NUS_SPEED * time_s * math.cos(NUS_YAW), 610.0 + NUS_SPEED * time_s * math.sin(NUS_YAW), 0.0]
    )


def nus_camera(name: str) -> tuple[Rotation, FloatArray, FloatArray]:
    """Rotation and place in nuScenes' ego frame, intrinsics."""
    yaw, place, focal = NUS_CAMERAS[name]
    optical = Rotation.from_matrix([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    intrinsic = np.array([[focal, 0.0, NUS_MIDDLE[0]], [0.0, focal, NUS_MIDDLE[1]], [0.0, 0.0, 1.0]])
    return Rotation.from_euler("Z", yaw, degrees=True) * optical, np.array(place), intrinsic


def nus_pixel(name: str, time_s: float, point: FloatArray) -> tuple[FloatArray, float]:
    """Global -> ego -> camera -> picture, as the devkit's tutorial does."""
    turn, place, intrinsic = nus_camera(name)
    ego = Rotation.from_euler("Z", NUS_YAW).inv().apply(point - nus_place(time_s))
    optical = turn.inv().apply(ego - place)
    pixel = intrinsic @ optical
    return pixel[:2] / pixel[2], float(optical[2])


def write_nuscenes(root: Path, key_frames: int = 4, scenes: int = 1) -> Path:
    """Scenes of key frames every 0.5 s, pictures about every 83 ms, a car that turns and one that is seen once."""
    tables: dict[str, list[dict[str, Any]]] = {
        "log": [{"token": "log", "logfile": "n", "vehicle": "n008", "date_captured": "2018", "location": "boston"}],
        "category": [
            {"token": "car", "name": "vehicle.car", "description": ""},
            {"token": "adult", "name": "human.pedestrian.adult", "description": ""},
        ],
        "instance": [{"token": "i1", "category_token": "car"}, {"token": "i2", "category_token": "adult"}],
        "sensor": [{"token": f"s{n}", "channel": n, "modality": "camera"} for n in NUS_CAMERAS],
    }
    for name in ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sample_annotation"):
        tables[name] = []
    for name in NUS_CAMERAS:
        turn, place, intrinsic = nus_camera(name)
        tables["calibrated_sensor"].append({
            "token": f"c{name}", "sensor_token": f"s{name}", "translation": place.tolist(),
            "rotation": wxyz(turn), "camera_intrinsic": intrinsic.tolist(),
        })  # fmt: skip
    for scene in range(scenes):
        _write_scene(root, tables, scene, key_frames)
    for name, rows in tables.items():
        path = root / "v1.0-mini" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return root


def wxyz(turn: Rotation) -> list[float]:
    return np.roll(turn.as_quat(), 1).tolist()


def _write_scene(root: Path, tables: dict[str, list[dict[str, Any]]], scene: int, key_frames: int) -> None:
    last = key_frames - 1
    tokens = [f"{scene}k{i}" for i in range(key_frames)]
    tables["scene"].append({
        "token": f"t{scene}", "name": f"scene-000{scene}", "description": "", "log_token": "log",
        "nbr_samples": key_frames, "first_sample_token": tokens[0], "last_sample_token": tokens[-1],
    })  # fmt: skip
    for i, token in enumerate(tokens):
        tables["sample"].append({
            "token": token, "timestamp": NUS_BEGIN + 500_000 * i, "scene_token": f"t{scene}",
            "prev": tokens[i - 1] if i else "", "next": tokens[i + 1] if i < last else "",
        })  # fmt: skip
        _annotate(tables, token, "i1", (1000.0 + 2.0 * i, 630.0, 0.9), 3.0 + 0.2 * i)  # across the seam at pi
    _annotate(tables, tokens[1], "i2", (1005.0, 625.0, 0.8), 0.5)
    for number in range(6 * last + 1):
        for offset, name in enumerate(NUS_CAMERAS):
            stamp = NUS_BEGIN + round(500_000 * number / 6) + 4_000 * offset
            time_s, key = 1e-6 * (stamp - NUS_BEGIN), f"{scene}{name}{number}"
            tables["ego_pose"].append({
                "token": key, "translation": nus_place(time_s).tolist(), "timestamp": stamp,
                "rotation": wxyz(Rotation.from_euler("Z", NUS_YAW)),
            })  # fmt: skip
            file = f"samples/{name}/{key}.jpg"
            tables["sample_data"].append({
                "token": key, "sample_token": tokens[min(-(-number // 6), last)], "ego_pose_token": key,
                "calibrated_sensor_token": f"c{name}", "filename": file, "fileformat": "jpg", "width": WIDTH,
                "height": HEIGHT, "timestamp": stamp, "is_key_frame": number % 6 == 0, "next": "", "prev": "",
            })  # fmt: skip
            pixel, depth = nus_pixel(name, time_s, NUS_MARK)
            save(root / file, marked(pixel if depth > 0 else None))


def _annotate(
    tables: dict[str, list[dict[str, Any]]], sample: str, instance: str, place: tuple[float, ...], yaw: float
) -> None:
    tables["sample_annotation"].append({
        "token": f"a{sample}{instance}", "sample_token": sample, "instance_token": instance, "attribute_tokens": [],
        "visibility_token": "4", "translation": list(place), "size": [1.8, 4.4, 1.6],
        "rotation": wxyz(Rotation.from_euler("Z", yaw)), "num_lidar_pts": 9, "num_radar_pts": 0, "prev": "", "next": "",
    })  # fmt: skip
