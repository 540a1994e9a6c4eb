"""A model of transformers in a folder, or by its id on the Hugging Face hub.

A folder is read as it is, and nothing is asked of the network. An id is fetched once into the hub's own cache; with
`HF_HUB_OFFLINE=1` it must lie there. No code that comes with a model is ever run, and pickled weights are read as
weights only.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version as version_of
from pathlib import Path

from ..manifests.errors import UsageError

FILES = ["*.json", "*.safetensors", "*.bin", "*.txt", "*.model", "*.jinja"]
SAMPLED_BYTES = 1 << 20


def model_folder(model: str, revision: str | None = None) -> Path:
    """The folder with the files of `model`: itself, if it is one, else the snapshot of that id. `UsageError` where
    there is neither."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=FILES))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            "there is no such model", got=f"{model} ({why})", allowed="a folder, or an id of the Hugging Face hub"
        ) from None


def model_version(model: str, revision: str | None = None) -> str:
    """What tells one `model` from another: for a folder the hash of its configuration and of size, head and tail of
    its weights, for an id the commit that lies in the hub's cache (its revision, before it is fetched); and the version
    of transformers."""
    library = f"transformers-{version_of('transformers')}"
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return f"{model}@{_commit(model, revision) or revision or 'main'}+{library}"
    told = hashlib.sha256()
    for path in sorted(path for pattern in FILES for path in folder.glob(pattern)):
        told.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            told.update(file.read(SAMPLED_BYTES))
            file.seek(max(0, path.stat().st_size - SAMPLED_BYTES))
            told.update(file.read(SAMPLED_BYTES))
    return f"{folder.name}-{told.hexdigest()[:12]}+{library}"


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of `model` that lies in the cache; None where there is none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, "config.json", revision=revision)
    except HFValidationError:  # no id: `model_folder` says so
        return None
    return Path(found).parent.name if isinstance(found, str) else None


def device_of(device: str) -> str:
    """`auto` is the graphics card where there is one, else the processor; other names are torch's own."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
