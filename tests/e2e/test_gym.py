"""The gymnasium environment in a real embedded world."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="needs the extra `gym`")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from e2e_drive.faces.gym_env import DriveEnv, StackDecides  # noqa: E402
from e2e_drive.faces.registration import ENV_ID, register_envs  # noqa: E402

FEW = ("cars=2", "link=fixed")


@pytest.fixture(scope="module")
def env() -> Iterator[gymnasium.Env]:
    register_envs()
    made = gymnasium.make(ENV_ID, overrides=FEW, disable_env_checker=True)
    yield made
    made.close()


@pytest.mark.timeout(280)
def test_gymnasium_finds_nothing_wrong_with_it(env: gymnasium.Env) -> None:
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.timeout(280)
def test_rewards_add_up_to_the_driving_score(env: gymnasium.Env) -> None:
    _, info = env.reset(seed=3)
    total = 0.0
    for _ in range(30):
        _, reward, *_, info = env.step(np.array([0.6, 0.0, 0.0], np.float32))
        total += float(reward)
    assert info["progress_m"] > 3.0
    assert total == pytest.approx(info["score"])
    assert info["score"] == pytest.approx(100.0 * info["progress_m"] / info["route_length_m"], rel=0.1)


@pytest.mark.timeout(280)
def test_the_stack_decides(weights: Path) -> None:
    with StackDecides(DriveEnv((*FEW, f"weights={weights}"))) as env:
        env.reset(seed=1)
        for _ in range(5):
            observation, *_ = env.step(None)
        assert env.stack is not None
        assert env.stack.last is not None
        assert env.stack.last.trajectory is not None
    assert set(observation["cameras"]) == {"front_left", "front_right", "tele", "rear"}
