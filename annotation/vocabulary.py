"""The controlled words for genres and instruments, from vocabulary.yaml: one label for all that is the same.

Their core are the words of the Solid State Bus-Comp paper, so that its histograms can be drawn of any dataset.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ..manifests.yaml_file import Strict, load_yaml

FILE = Path(__file__).with_name("vocabulary.yaml")
VOCABULARIES = ("genres", "instruments")


class Words(Strict):
    """What stands for one label: tags of each network, and what else people call it."""

    msd: tuple[str, ...] = ()
    mtt: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def tags(self, network: str) -> tuple[str, ...]:
        """The tags of the network `msd` or `mtt`."""
        return {"msd": self.msd, "mtt": self.mtt}[network]


class Vocabulary(Strict):
    """The labels of both kinds, the paper's first."""

    genres: dict[str, Words]
    instruments: dict[str, Words]


@cache
def labels(vocabulary: str) -> dict[str, Words]:
    """The labels of `genres` or `instruments`, and what stands for each."""
    words: dict[str, Words] = getattr(load_yaml(FILE, Vocabulary), vocabulary)
    return words


def names(vocabulary: str) -> tuple[str, ...]:
    """The words alone."""
    return tuple(labels(vocabulary))


def label_of(vocabulary: str, word: str) -> str | None:
    """The label for `word` as anyone may write it: "Hip-Hop" is hip hop, "drums" is drum; None where it is unknown."""
    return _known(vocabulary).get(_folded(word))


def labels_of(vocabulary: str, words: Iterable[str]) -> list[str]:
    """The labels for `words`, each once, in their order; words of no label are left out."""
    found = (label_of(vocabulary, word) for word in words)
    return list(dict.fromkeys(label for label in found if label is not None))


@cache
def _known(vocabulary: str) -> dict[str, str]:
    known: dict[str, str] = {}
    for name, words in labels(vocabulary).items():
        for word in (name, *words.also):
            known.setdefault(_folded(word), name)
    return known


def _folded(word: str) -> str:
    return " ".join(word.casefold().replace("-", " ").replace("_", " ").split())
