"""A whole dataset in a bag (BagIt, RFC 8493): every file with its SHA-256, to be stored or sent and proven unharmed.

`data/` in the bag is itself a dataset. Made by the Library of Congress's `bagit`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..manifests.version import version
from .citation import Citation
from .export_selection import Selection
from .export_tree import write_tree


def write_bagit(selection: Selection, folder: Path, count: Callable[[], None]) -> None:
    """The dataset in `folder`, not yet a bag: what is added now is bagged too."""
    write_tree(selection, folder, count)


def close_bag(folder: Path, citation: Citation, about: str) -> None:
    """Make `folder` a bag: what lies in it moves into `data/`, and is hashed."""
    import bagit

    bagit.make_bag(
        str(folder.resolve()),
        {
            "External-Description": about,
            "External-Identifier": citation.title,
            "Contact-Name": "; ".join(citation.authors),
            "Bagging-Date": citation.released.date().isoformat(),
            "Bag-Software-Agent": f"buscomp {version()} with bagit",
        },
        checksums=["sha256"],
    )
