"""buscomp captures datasets of analog compressors that others can trust.

>>> import buscomp
>>> dataset = buscomp.open_dataset("my-dataset")            # doctest: +SKIP
>>> for dry, wet, setting in dataset.pairs(split="train"):  # doctest: +SKIP
...     ...

What stands here is loaded at first use, so that `buscomp --help` needs no pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .manifests.dataset import Dataset, Pair, open_dataset
    from .manifests.errors import BuscompError

__all__ = ["BuscompError", "Dataset", "Pair", "open_dataset"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'buscomp' has no attribute {name!r}")
    home = "errors" if name == "BuscompError" else "dataset"
    return getattr(importlib.import_module(f".manifests.{home}", __name__), name)
