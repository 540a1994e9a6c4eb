"""A listening test in the manner of MUSHRA (ITU-R BS.1534-3), as a folder:

page/index.html, page/audio/*.wav   for listeners; runs without a network; files have names that say nothing
key.json                            which file is what; not for listeners
webmushra/                          the same test for webMUSHRA: listening.yaml, to lie in its folder configs
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import Float32, quantise, write_wav
from ..manifests.storage import write_text
from .listening_stimuli import ANCHOR, REFERENCE, stimuli
from .systems import Candidate
from .take_audio import Row, TakeReader, spread_evenly

TEMPLATE = Path(__file__).with_name("listening_page.html")
TEST_SPLITS = ("test_seen", "test_unseen")
MOST_SYSTEMS = 10  # with reference and anchor 12 signals, the limit of the recommendation
Document = dict[str, Any]


def make_test(
    dataset: Dataset,
    candidates: Sequence[Candidate],
    folder: Path,
    *,
    trials: int,
    seconds: float,
    seed: int,
    title: str,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Document:
    """Write the test of `candidates` on `trials` takes of the test splits into `folder`; what key.json says."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder of a new listening test must be empty", got=folder)
    if not 1 <= len(candidates) <= MOST_SYSTEMS:
        raise UsageError("so many systems cannot be compared", got=len(candidates), allowed=f"1 to {MOST_SYSTEMS}")
    names = [system_name(candidate) for candidate in candidates]
    if len(set(names)) != len(names):
        raise UsageError("a system is there twice", got=", ".join(names))
    takes = chosen_takes(dataset, trials)
    codes = iter(np.random.default_rng(seed).permutation(36**4 - 36**3) + 36**3)
    reader, described = TakeReader(dataset), []
    for number, take in enumerate(progress(takes), start=1):
        found = stimuli(take, reader.read(take), candidates, names, seconds)
        conditions = {}
        for name, audio in found.items():
            code = np.base_repr(int(next(codes)), 36).lower()
            _write(folder / "page" / "audio" / f"{code}.wav", audio, take["sample_rate"])
            conditions[code] = name
        reference = f"trial{number:02}"
        _write(folder / "page" / "audio" / f"{reference}.wav", found[REFERENCE], take["sample_rate"])
        described.append(
            {"trial": reference, "take_id": take["take_id"], "song_id": take["song_id"],
             "setting_id": take["setting_id"], "split": take["split"], "conditions": conditions}
        )  # fmt: skip
    key = {"title": title, "seed": seed, "reference": REFERENCE, "anchor": ANCHOR, "trials": described}
    write_text(folder / "key.json", json.dumps(key, indent=2) + "\n")
    write_text(folder / "page" / "index.html", page(key))
    write_text(folder / "webmushra" / "listening.yaml", web_mushra(key))
    return key


def system_name(candidate: Candidate) -> str:
    """What it is called in the key: the folder of its run, or the name of the baseline."""
    system = candidate.system
    return Path(system.checkpoint).name if system.checkpoint else system.model


def chosen_takes(dataset: Dataset, trials: int) -> list[Row]:
    """`trials` takes of the test splits, evenly spread over settings and songs, half from each split."""
    rows: list[Row] = []
    for split in TEST_SPLITS:
        table = dataset.pair_table(split)
        found: list[Row] = table.sort_values(["setting_id", "song_id"]).to_dict("records")
        rows += spread_evenly([row | {"split": split} for row in found], -(-trials // 2))
    if not rows:
        raise DatasetError("no accepted take is in a test split", mend="type `buscomp split`")
    return spread_evenly(rows, trials)


def page(key: Document) -> str:
    """The page of the test; it names files, never systems."""
    trials = [{"trial": trial["trial"], "stimuli": sorted(trial["conditions"])} for trial in key["trials"]]
    test = json.dumps({"title": key["title"], "trials": trials}).replace("<", "\\u003c")
    return TEMPLATE.read_text().replace("{/* TEST */}", test)


def web_mushra(key: Document) -> str:
    """The configuration for webMUSHRA, which hides the reference among the stimuli by itself."""
    audio = "configs/audio"
    pages: list[Document] = [
        {"type": "generic", "id": "begin", "name": key["title"], "content": "Compare each sound with the reference."}
    ]
    for trial in key["trials"]:
        hidden = {code: f"{audio}/{code}.wav" for code, name in trial["conditions"].items() if name != REFERENCE}
        pages.append(
            {
                "type": "mushra", "id": trial["trial"], "name": "Similarity to the reference", "content": "",
                "showWaveform": False, "enableLooping": True, "strict": True, "randomize": True,
                "createAnchor35": False, "createAnchor70": False,
                "reference": f"{audio}/{trial['trial']}.wav", "stimuli": hidden,
            }
        )  # fmt: skip
    questions = [{"type": "text", "label": "Your name or code", "name": "participant"}]
    pages.append(
        {"type": "finish", "name": "Thank you", "content": "", "showResults": False, "writeResults": True,
         "questionnaire": questions}
    )  # fmt: skip
    document = {
        "testname": key["title"], "testId": "listening", "bufferSize": 2048, "stopOnErrors": True,
        "showButtonPreviousPage": True, "remoteService": "service/write.php",
        "pages": [pages[0], ["random", *pages[1:-1]], pages[-1]],
    }  # fmt: skip
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _write(path: Path, audio: Float32, sample_rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, quantise(audio), sample_rate)
