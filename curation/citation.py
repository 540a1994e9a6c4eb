"""How a dataset wants to be cited: CITATION.cff (Citation File Format 1.2.0, Druskat et al., 2021).

A CITATION.cff in the dataset's folder is the owner's word, with DOI and ORCID, and goes out as it stands. Without one
a plain one is written from the title and the authors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from ..manifests.errors import UsageError
from ..manifests.ids import id_from_name
from ..manifests.licences import spdx_of
from ..manifests.version import version

FILE = "CITATION.cff"
NEEDED = ("cff-version", "message", "title", "authors")


@dataclass(frozen=True)
class Citation:
    """Who made what, and the text of CITATION.cff."""

    title: str
    authors: tuple[str, ...]
    released: datetime
    version: str
    text: str

    def bibtex(self) -> str:
        """The same for LaTeX."""
        key = re.sub(r"[^a-z0-9]", "", id_from_name(f"dataset-{self.title}"))
        authors = " and ".join(_for_latex(author) for author in self.authors)
        return (
            f"@misc{{{key}{self.released.year}, title = {{{_for_latex(self.title)}}}, author = {{{authors}}}, "
            f"year = {{{self.released.year}}}, version = {{{self.version}}}}}"
        )


def citation_of(
    root: Path, licences: Sequence[str], *, title: str | None = None, authors: Sequence[str] = ()
) -> Citation:
    """The citation of the dataset in `root`. `licences`: of its songs; only SPDX identifiers are written down.

    `UsageError` when the CITATION.cff there is no such file, or when title or authors are told twice.
    """
    path = root / FILE
    if path.exists():
        if title or authors:
            raise UsageError(f"this dataset has a {FILE}, which names title and authors", mend="change it there")
        return _read(path)
    now = datetime.now(UTC)
    release = f"{now.year}.{now.month}.{now.day}"
    title = _one_line(title or "") or _one_line(root.resolve().name) or "dataset"
    told = tuple(filter(None, map(_one_line, authors)))
    names = told or (f"The makers of {title}",)
    known = sorted({spdx for licence in licences if (spdx := spdx_of(licence))})
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it.",
        "type": "dataset",
        "title": title,
        "authors": [_author(name) for name in told] or [{"name": names[0]}],
        "version": release,
        "date-released": now.date(),
        "keywords": ["audio", "dynamic range compression", "virtual analog"],
        "references": [
            {"type": "software", "title": "buscomp", "authors": [{"name": "The buscomp authors"}], "version": version()}
        ],
    }
    if known:
        content["license"] = known
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return Citation(title, names, now, release, text)


def _one_line(text: str) -> str:
    """`text` without what nobody can print: YAML has line breaks of its own, such as U+0085."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _author(name: str) -> dict[str, str]:
    """`Lovelace, Ada` is a person; a name without a comma is taken as it is, which is right for a laboratory."""
    family, comma, given = (part.strip() for part in name.partition(","))
    return {"family-names": family, "given-names": given} if comma and family and given else {"name": name}


def _read(path: Path) -> Citation:
    text = path.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{FILE} is no YAML ({error})", mend="mend it, or remove it") from error
    if not isinstance(content, dict) or any(not content.get(name) for name in NEEDED):
        missing = [name for name in NEEDED if not isinstance(content, dict) or not content.get(name)]
        raise UsageError(f"{FILE} lacks {', '.join(missing)}", mend="mend it, or remove it")
    authors = content["authors"]
    if not isinstance(authors, list) or not all(isinstance(author, dict) for author in authors):
        raise UsageError(f"{FILE}: authors must be a list of persons or names", mend="mend it, or remove it")
    released = content.get("date-released")
    when = datetime(released.year, released.month, released.day, tzinfo=UTC) if isinstance(released, date) else None
    when = when or datetime.now(UTC)
    release = str(content.get("version") or f"{when.year}.{when.month}.{when.day}")
    return Citation(str(content["title"]), tuple(map(_name, authors)), when, release, text)


def _name(author: Mapping[str, Any]) -> str:
    parts = [author.get("given-names"), author.get("name-particle"), author.get("family-names"), author.get("name")]
    return " ".join(str(part) for part in parts if part) or "unknown"


def _for_latex(text: str) -> str:
    return re.sub(r"([{}\\%&#$_])", r"\\\1", text.replace("\\", ""))
