"""Networks that a user has converted: where they lie, how they are made, how they are run.

The tempo and key networks of the paper are AGPL-3, code and weights, so they are never shipped here. A user who has
them (`pip install --no-deps tempocnn`; the key-cnn repository) turns their `.h5` files into ONNX once, with
`buscomp annotate --convert FOLDER_OR_FILE`; from then on onnxruntime is all that is needed. What is made stays under
the licence of what it was made from, which stands in the file's metadata.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import Float32
from ..manifests.storage import write_whole
from .keras_onnx import input_shape, read_keras, to_onnx

KINDS = {"tempocnn": (40, 256, 256), "keycnn": (168, 60, 24)}  # bands, frames of a window, classes
STANDARD_FAMILIES = ("deep", "shallow", "dt_maz", "ds_winterreise")  # trained on standardised windows, not on maxima
LICENCE = "AGPL-3.0, as the network it was converted from"
WINDOWS_AT_ONCE = 64


@dataclass(frozen=True)
class Converted:
    """One network that was made, or why it was not."""

    source: Path
    path: Path | None
    reason: str = ""


def weights_folder() -> Path:
    """Where converted networks lie: `$BUSCOMP_WEIGHTS`, else `buscomp/weights` in the user's data folder."""
    if named := os.environ.get("BUSCOMP_WEIGHTS"):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "buscomp" / "weights"


def convert(source: Path, folder: Path | None = None) -> Iterator[Converted]:
    """Convert the `.h5` file `source`, or every one below the folder `source`, into `folder`.

    Each result is `tempocnn-NAME.onnx` or `keycnn-NAME.onnx`. A file that is no such network comes with the reason.
    `UsageError` when there is no `.h5` file at all, or h5py or onnx is missing."""
    try:
        import h5py  # noqa: F401
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError(f"converting needs {error.name}", mend="pip install 'buscomp[convert]'") from None
    files = sorted(source.rglob("*.h5")) if source.is_dir() else [source]
    if not files or not all(file.is_file() for file in files):
        raise UsageError("there is no .h5 file to convert", got=source, mend="name a file, or the folder that holds it")
    for file in files:
        try:
            yield Converted(file, convert_file(file, folder or weights_folder()))
        except DatasetError as error:
            yield Converted(file, None, str(error))


def convert_file(source: Path, folder: Path) -> Path:
    """The ONNX file made of the network in `source`. `DatasetError` if it is neither a tempo nor a key network."""
    layers = read_keras(source)
    bands = input_shape(layers)[0] if len(input_shape(layers)) == 3 else None
    kind = next((kind for kind, (wanted, _, _) in KINDS.items() if wanted == bands), None)
    if kind is None:
        sizes = ", ".join(f"{wanted} ({kind})" for kind, (wanted, _, _) in KINDS.items())
        raise DatasetError(f"{source.name} hears other features", got=f"{bands} bands", allowed=sizes)
    if "fma" in source.stem:
        raise DatasetError(f"{source.name} counts tempo on a logarithmic scale, which is not known here")
    bands, frames, _ = KINDS[kind]
    standard = kind == "keycnn" or source.stem.startswith(STANDARD_FAMILIES)
    made = to_onnx(
        layers,
        bands,
        frames,
        {
            "kind": kind,
            "normalisation": "standard" if standard else "maximum",
            "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "license": LICENCE,
        },
    )
    path = folder / f"{kind}-{source.stem}.onnx"

    def write(temporary: Path) -> None:
        temporary.write_bytes(made)

    write_whole(path, write)
    return path


class Network:
    """A converted network of `kind`, by name or by the path of its `.onnx` file; read when it is first needed."""

    def __init__(self, kind: str, weights: str):
        self.kind = kind
        self.weights = weights

    @property
    def path(self) -> Path:
        """The file; `UsageError` when there is none."""
        here = Path(self.weights)
        path = here if here.suffix == ".onnx" else weights_folder() / f"{self.kind}-{self.weights}.onnx"
        if not path.is_file():
            there = sorted(file.stem.removeprefix(f"{self.kind}-") for file in path.parent.glob(f"{self.kind}-*.onnx"))
            raise UsageError(
                f"there are no {self.kind} weights",
                got=self.weights,
                allowed=there or None,
                mend="convert your own once: `buscomp annotate --convert FOLDER_OR_FILE`",
            )
        return path

    @cached_property
    def sha256(self) -> str:
        """Of the file, twelve digits."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]

    @cached_property
    def session(self) -> Any:
        """The network in onnxruntime, on one thread: songs are shared out to processes."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base for its errors
            if type(error).__module__.startswith("onnxruntime"):
                raise DatasetError(f"{self.path.name} cannot be read ({error})", mend="convert it again") from error
            raise
        if session.get_modelmeta().custom_metadata_map.get("kind") != self.kind:
            raise DatasetError(f"{self.path.name} is no {self.kind} network", mend="convert it again")
        return session

    def classes(self, features: Float32) -> Float32:
        """Mean over all windows of the probabilities, from `features` (bands, frames)."""
        _, length, _ = KINDS[self.kind]
        cut = windows(features, length)
        standard = self.session.get_modelmeta().custom_metadata_map.get("normalisation") == "standard"
        normal = (standardised(cut) if standard else at_most_one(cut))[..., None]
        heard = [
            self.session.run(["output"], {"input": normal[start : start + WINDOWS_AT_ONCE]})[0]
            for start in range(0, len(normal), WINDOWS_AT_ONCE)
        ]
        return np.asarray(np.concatenate(heard).mean(axis=0), np.float32)


def windows(features: npt.NDArray[np.floating], length: int) -> Float32:
    """Windows of `length` frames that overlap by half, (windows, bands, length), from `features` (bands, frames). What
    is left at the end is dropped, as in training; less than one window is filled up with zeros."""
    padded = np.pad(features, ((0, 0), (0, max(0, length - features.shape[1]))))
    every = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)[:, :: length // 2]
    return np.ascontiguousarray(every.transpose(1, 0, 2), np.float32)


def standardised(cut: Float32) -> Float32:
    """Mean 0 and standard deviation 1 over all windows of a song, rounded to half precision as in training."""
    values = cut.astype(np.float64)
    spread = values.std()
    scaled = (values - values.mean()) / spread if spread else values
    return scaled.astype(np.float16).astype(np.float32)


def at_most_one(cut: Float32) -> Float32:
    """Divided by the largest value of a song."""
    largest = cut.max()
    return cut / largest if largest else cut
