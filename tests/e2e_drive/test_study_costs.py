"""The network that drives, at the cost of a larger one; and a policy that knows the future, in a whole stack."""

from __future__ import annotations

from pathlib import Path

import pytest
from stack_cases import NEAR, make_frame, make_stack, random_weights

from e2e_drive.stack import DrivingStack
from e2e_drive.study import CostConfig, driving_graph
from scheduling import Place
from scheduling.codecs import CODECS
from scheduling.simulation import true_forecast

AS_BIG = ("costs.model=big", "costs.picture_scale=2", "soc=jetson_tx2")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> DrivingStack:
    return make_stack(random_weights(tmp_path_factory.mktemp("weights")), *AS_BIG, "scheduler=jpeg_remote")


def test_the_same_stages_at_a_higher_price(large: DrivingStack) -> None:
    own, asked = driving_graph(large.model), large.graph
    faces = [[(stage.name, stage.inputs, stage.outputs) for stage in graph.stages] for graph in (own, asked)]
    assert faces[0] == faces[1]
    assert all(b.cost.flops >= a.cost.flops for a, b in zip(own.stages, asked.stages, strict=True))
    assert asked.sources["image[tele]"] == 4 * own.sources["image[tele]"]
    car = large.executor.computers[Place.CAR]
    assert sum(car.alone_seconds(stage.cost) for stage in own.stages) < 0.1 * 0.8  # beside the quiet tenant
    assert sum(car.alone_seconds(stage.cost) for stage in asked.stages) > 0.1 / 0.8  # too large for the car alone


def test_pictures_weigh_as_those_of_the_larger_network(large: DrivingStack) -> None:
    frame = make_frame(large, 0)
    large.step(frame, NEAR)
    assert large.last is not None
    assert frame.images is not None
    (codec, weight), *_ = large.last.payloads["image[tele]"].items()
    picture = frame.images["tele"].transpose(2, 0, 1)[None]
    assert weight == 4 * len(CODECS[codec].encode(picture))


def test_the_oracle_is_told_what_will_happen(tmp_path: Path) -> None:
    stack = make_stack(random_weights(tmp_path), "scheduler=oracle", "link=urban")
    asked = []
    decide = stack.dispatcher.policy.decide
    stack.dispatcher.policy.decide = lambda problem: (asked.append(problem), decide(problem))[1]  # type: ignore[method-assign]
    for tick in range(4):
        stack.step(make_frame(stack, tick), NEAR)
        if tick == 2:
            truth = true_forecast(stack.dispatcher.link.truth(), 0.1, 0.1)
            assert asked[-1].forecast[0] == truth[0]
    assert [len(problem.forecast) for problem in asked] == [1, 1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "huge"}, "base, big, little"),
        ({"picture_scale": 2}, "received none"),
        ({"model": "big", "picture_scale": 0}, "at least 1"),
    ],
)
def test_costs_that_cannot_be(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        CostConfig(**options)  # type: ignore[arg-type]
