"""A trained network made ready to drive: the same function, in fewer and faster steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bev.stage import Stage

Network = TypeVar("Network", bound=nn.Module)


def prepare_for_inference(network: Network, *example: Any) -> Network:
    """In place: evaluation mode, no gradients, batch norms folded into the convolutions before them (Jacob et al.,
    arXiv 1712.05877, section 3.2), kernels laid out channels last. Outputs change by rounding only.

    example: arguments of a forward pass, which shows which norm reads which convolution."""
    network.eval().requires_grad_(False)
    names = {module: name for name, module in network.named_modules()}
    for conv, norm in _norms_of_convolutions(network, example):
        _put(network, names[conv], fuse_conv_bn_eval(conv, norm))
        _put(network, names[norm], getattr(norm, "act", nn.Identity()))  # timm's norms bring an activation
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.no_grad()
def without_python(stages: Sequence[Stage], sources: Mapping[str, Tensor]) -> tuple[Stage, ...]:
    """The same stages, recorded once on `sources` and played by TorchScript from then on: the same kernels in the same
    order, hence, after `prepare_for_inference`, the same bits, for inputs of these shapes. Between hundreds of small
    kernels, calling modules takes a fifth of a frame's time on one core.

    TorchScript is on its way out of torch (it says so, and is silenced here), but what shall follow it needs a compiler
    on the machine (torch.compile) or gains little (torch.export, torch.fx play from Python)."""
    known, played = dict(sources), []
    recorded: dict[Any, nn.Module] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # of checks of shapes, which are as they will be
        for stage in stages:
            inputs = [known[name] for name in stage.inputs]
            key = stage.module, tuple(tensor.shape for tensor in inputs)
            if key not in recorded:  # cameras share their backbone
                trace = torch.jit.trace(stage.module, inputs, check_trace=False)
                recorded[key] = torch.jit.freeze(trace)
            played.append(replace(stage, module=recorded[key]))
            known.update(zip(stage.outputs, stage(*inputs), strict=True))
    return tuple(played)


@torch.no_grad()
def _norms_of_convolutions(network: nn.Module, example: tuple[Any, ...]) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Pairs in which the norm reads that convolution's output and nothing else."""
    source: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, or its id would be given away again
    pairs: dict[nn.BatchNorm2d, set[nn.Conv2d | None]] = {}

    def made(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        source[id(output)] = (module, output)

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        pairs.setdefault(module, set()).add(source.get(id(inputs[0]), (None,))[0])

    hooks = [module.register_forward_hook(made) for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks += [
        module.register_forward_pre_hook(read) for module in network.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    try:
        network(*example)
    finally:
        for hook in hooks:
            hook.remove()
    found = [(conv, norm) for norm, convs in pairs.items() if len(convs) == 1 for conv in convs if conv is not None]
    convs = [conv for conv, _ in found]
    return [(conv, norm) for conv, norm in found if convs.count(conv) == 1]


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
