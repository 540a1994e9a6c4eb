"""A pickle of arrays, read without running what it says.

A pickle is a program: it may name any function and call it. Here it may name numpy's array, dtype and scalar makers and
nothing else; dictionaries, lists, texts and numbers need no name. Whatever else it names is refused by that name before
it is called, and so is a dtype of objects, which could hold anything.
"""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..manifests.errors import DatasetError

# numpy's core was called numpy.core before 2.0; a file says what wrote it
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_NAMES = ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")


class _ArraysOnly(pickle.Unpickler):
    """Admits numpy arrays and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY and name in _NAMES:
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 and below write an array's bytes
            return codecs.encode
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise DatasetError(
            "this pickle asks for something that is no array",
            got=f"{module}.{name}",
            allowed="numpy arrays, dictionaries, lists, texts and numbers",
            mend="it may be an attack: nothing of it was run",
        )


def read_arrays(path: Path) -> dict[str, Any]:
    """The dictionary that the pickle at `path` holds, with its arrays of numbers.

    `DatasetError` for a pickle that names anything else, is no dictionary, or is damaged."""
    try:
        with path.open("rb") as file:
            document = _ArraysOnly(file).load()
    except DatasetError as error:
        raise DatasetError(f"{path.name}: {error}") from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise DatasetError(f"{path.name} is not a whole pickle ({error})") from error
    except (ImportError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} cannot be read ({error})") from error
    if not isinstance(document, Mapping):
        raise DatasetError(f"{path.name} must hold a dictionary", got=type(document).__name__)
    for key, value in document.items():
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            raise DatasetError(f"{path.name}: {key} holds objects instead of numbers", got=value.dtype)
    return {str(key): value for key, value in document.items()}
