"""Training on a toy world: two drives of coloured pictures whose colours say what to do."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bev import BevClass, BevGrid, Camera, CameraRig
from bev.frustum import DepthBins
from bev.heads import Agent
from e2e_drive.errors import UserError
from e2e_drive.learn.augment import augment
from e2e_drive.learn.config import TrainConfig
from e2e_drive.learn.dataset import Balance, DriveDataset, by_camera
from e2e_drive.learn.evaluation import evaluate
from e2e_drive.learn.loop import CHECKPOINT_FILE, WEIGHTS_FOLDER, Trainer, validation_batches
from e2e_drive.learn.sample import BOXES, Sample
from e2e_drive.learn.shards import Shard, split_drives, write_shard
from planner import DrivingModel, ModelConfig, load_model

RIG = CameraRig(
    (
        Camera("left", 64, 32, math.radians(96), 0.7, 0.2, 1.6, yaw=math.radians(42)),
        Camera("tele", 64, 32, math.radians(35), 0.8, 0.0, 1.6),
    )
)
GRID = BevGrid(cell_m=3.0)
MODEL = ModelConfig(
    RIG,
    GRID,
    depth_bins=DepthBins(count=12),
    light_cameras=("tele",),
    width=32,
    image_channels=16,
    bev_channels=16,
    fine_channels=8,
    memory_channels=8,
    heads=2,
    encoder_layers=1,
    decision_layers=1,
    trajectory_layers=1,
    agents=4,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def toy_sample(index: int) -> Sample:
    """Reddish pictures: stop, red light. Greenish: go, and the brighter the left one, the more to the left."""
    random = np.random.default_rng(index)
    red, bend = index % 3 == 0, (index % 5 - 2) / 2
    images = {name: random.integers(0, 60, (32, 64, 3), dtype=np.uint8) for name in RIG.names}
    images["tele"][4:20, 20:44, 0 if red else 1] = 230
    images["left"][:, :, 2] = 120 + round(50 * bend)
    along = np.arange(1, 11) * 2.0
    bev = np.zeros((len(BevClass), GRID.rows, GRID.columns), dtype=np.uint8)
    bev[0, :, 5:11] = 1
    bev[3, 8:10, 5:11] = red
    boxes = np.zeros((BOXES, len(Agent)), np.float32)
    boxes[0] = (1, 0, 20.0, 0.0, 0.8, 4.5, 2.0, 1.6, 0.0, 5.0, 0.0)
    futures = np.zeros((BOXES, 4, 3), np.float32)
    futures[0] = [(20 + 5 * 0.5 * (k + 1), 0.0, 1.0) for k in range(4)]
    speed = 0.0 if red else 6.0
    return Sample(
        frame_id=index,
        pose=np.array([0.25 * index * 3.0, 0.0, 0.0, 0.25 * index]),
        images=images,
        depths={name: np.full((16, 32), 10.0, np.float32) for name in RIG.names},
        command=np.array([*np.eye(4)[index % 4], 20 / 60]),
        motion=np.array([3.0, 0.0]),
        bev=bev,
        hidden=np.zeros((GRID.rows, GRID.columns), np.uint8),
        path=np.stack([along, bend * along**2 / 40], axis=1),
        waypoints=np.stack([speed * np.arange(1, 9) * 0.5, np.zeros(8)], axis=1),
        target_speed_mps=speed,
        manoeuvre=2 if red else 0,
        light=2 if red else 1,
        light_distance_m=20.0,
        boxes=boxes,
        futures=futures,
    )


def make_shard(folder: Path, first: int) -> Shard:
    return write_shard(folder, (toy_sample(first + index) for index in range(30)), RIG, GRID, {"log": "toy.mcap"})


@pytest.fixture
def dataset(tmp_path: Path) -> DriveDataset:
    return DriveDataset([make_shard(tmp_path / f"cache/{drive}", 30 * drive) for drive in range(2)], RIG)


def make_trainer(dataset: DriveDataset, out: Path, **changes: object) -> Trainer:
    torch.manual_seed(0)
    config = TrainConfig(**({"epochs": 2, "batch_size": 8, "warm_up_steps": 5, "precision": "fp32"} | changes))  # type: ignore[arg-type]
    return Trainer(DrivingModel(MODEL), dataset, None, out, config)


def test_a_shard_gives_back_what_went_in(dataset: DriveDataset) -> None:
    batch, sample = dataset.batch(np.array([31, 4]), np.random.default_rng(0)), toy_sample(31)
    images = by_camera(batch, RIG.names)
    assert np.array_equal(images["image[tele]"][0].permute(1, 2, 0).numpy(), sample.images["tele"])
    assert np.array_equal(batch["label_bev"][0].numpy(), sample.bev)
    np.testing.assert_allclose(batch["label_path"][0].numpy(), sample.path, rtol=1e-6)
    assert batch["label_light"].tolist() == [sample.light, toy_sample(4).light]
    assert batch["command"][0].tolist() == pytest.approx([0, 0, 0, 1, 20 / 60])
    assert dataset.name_of(31) == "toy.mcap, frame 31"


def test_the_past_is_half_a_second_to_a_second_old_and_lies_behind(dataset: DriveDataset) -> None:
    batch = dataset.batch(np.array([0, 20, 25]), np.random.default_rng(0))
    assert batch["past_of"].tolist() == [1, 2]  # nothing comes before a drive's first frame
    for row, sample in ((1, 20), (2, 25)):
        x, _, _, age, known = batch["memory_poses"][row, 0].tolist()
        assert known == 1.0
        assert -age in (0.5, 0.75, 1.0)
        assert x == pytest.approx(3.0 * age, abs=1e-5)
        earlier = toy_sample(sample + round(age / 0.25)).images["left"]
        assert np.array_equal(batch["past_images"][row - 1, 0].numpy(), earlier)
    forgetful = dataset.batch(np.array([0, 20, 25]), np.random.default_rng(0), forget=1.0)
    assert "past_of" not in forgetful
    assert not forgetful["memory_poses"].any()


def test_latency_moves_the_speed_that_is_taught(dataset: DriveDataset) -> None:
    later = DriveDataset(dataset.shards, RIG, latency_s=0.25)
    now, moved = dataset.column("target_speed"), later.column("target_speed")
    np.testing.assert_allclose(moved[:29], now[1:30])
    assert moved[29] == now[29]  # the drive ends


def test_epochs_are_balanced_and_reproducible(dataset: DriveDataset) -> None:
    balance = Balance(turning=4.0, turning_m=8.0)
    first = dataset.epoch(0, 0, balance)
    assert np.array_equal(first, dataset.epoch(0, 0, balance))
    assert not np.array_equal(first, dataset.epoch(0, 1, balance))
    counts, weights = np.bincount(first, minlength=60), dataset.weights(balance)
    expected = 60 * weights / weights.sum()
    assert (np.abs(counts - expected) < 1.0).all()


def test_it_learns(dataset: DriveDataset, tmp_path: Path) -> None:
    trainer = make_trainer(dataset, tmp_path / "out", epochs=14, average_decay=0.9, balance=Balance(green=2.0))
    untaught = evaluate(trainer.averaged_model(), validation_batches(dataset, 60, "cpu"))
    trainer.run(show=False)
    model = load_model(tmp_path / "out" / WEIGHTS_FOLDER)

    metrics = evaluate(model, validation_batches(dataset, 60, "cpu"))
    assert metrics["light_accuracy"] > 0.95
    assert metrics["stop_recall"] > 0.95
    assert metrics["stop_precision"] > 0.95
    assert metrics["iou_road"] > 0.8
    assert metrics["path_error_10m"] < 0.7  # a straight guess is off by 1.5 m
    assert metrics["depth_abs_rel"] < untaught["depth_abs_rel"] - 0.05


def test_a_loss_that_is_not_finite_names_log_and_frame(dataset: DriveDataset, tmp_path: Path) -> None:
    dataset._fields[1]["path"][7] = np.nan
    trainer = make_trainer(dataset, tmp_path / "out", batch_size=60, epochs=1, perception_share=0.0)
    trainer._next_samples = lambda: np.arange(60)  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"loss \(path\) is not finite for toy\.mcap, frame 37"):
        trainer._train_step()


def test_a_resumed_run_ends_with_the_same_bits(dataset: DriveDataset, tmp_path: Path) -> None:
    whole = make_trainer(dataset, tmp_path / "whole")
    whole.run(show=False)

    halves = make_trainer(dataset, tmp_path / "halves")
    for _ in range(5):  # stops in the middle of an epoch
        halves._train_step()
    halves.save_checkpoint()
    torch.manual_seed(12345)  # nothing may hang on the state of the process
    resumed = make_trainer(dataset, tmp_path / "halves")
    assert resumed.step == 5
    resumed.run(show=False)
    assert resumed.step == whole.step
    for name, tensor in whole.average.items():
        assert torch.equal(tensor, resumed.average[name]), name


def test_ctrl_c_keeps_the_checkpoint(dataset: DriveDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(dataset, tmp_path)
    step = trainer._train_step

    def interrupted() -> dict[str, float]:
        if trainer.step == 2:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(trainer, "_train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(show=False)
    assert (tmp_path / CHECKPOINT_FILE).exists()
    assert make_trainer(dataset, tmp_path).step == 2


def test_max_minutes_shortens_the_schedule(dataset: DriveDataset, tmp_path: Path) -> None:
    trainer = make_trainer(dataset, tmp_path, epochs=1000, max_minutes=0.02)
    trainer.run(show=False)
    assert trainer.progress == 1.0
    assert trainer.step < 1000
    assert (tmp_path / WEIGHTS_FOLDER / "model.safetensors").exists()


def test_augmentation_changes_light_but_not_geometry() -> None:
    images = torch.full((8, 2, 16, 16, 3), 128, dtype=torch.uint8)
    images[:, :, 4:8, 4:8] = 250
    out = augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(out, augment(images, torch.Generator().manual_seed(0)))
    assert out.min() >= 0
    assert out.max() <= 255
    assert (out[:, :, 4:8, 4:8].mean(dim=(2, 3, 4)) > out[:, :, 8:, 8:].mean(dim=(2, 3, 4)) + 20).all()
    assert out.mean(dim=(1, 2, 3, 4)).std() > 3


def test_drives_are_held_out_whole() -> None:
    shards = [Shard(Path(str(index)), str(index), 1) for index in range(20)]
    learn, validate = split_drives(shards, held_out=0.1, seed=1)
    assert len(validate) == 2
    assert sorted(learn + validate, key=lambda shard: int(shard.log)) == shards
    assert split_drives(shards[:1], 0.1, 1) == (shards[:1], [])


def test_an_empty_cache_is_told() -> None:
    with pytest.raises(UserError, match="no samples"):
        DriveDataset([], RIG)
