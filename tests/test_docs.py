"""Every command that a page shows is run, in order, in a fresh folder, and answers as the page says.

A ```console block holds lines `$ command`, each with the output that the page shows for it, if any: every line of it
must occur in the real output, where `...` stands for anything. HTML comments right before a block steer it:

    <!-- dataset: small -->    go into a new dataset of 3 songs x 4 settings (tests/small_dataset.py)
    <!-- dataset: songs -->    go into a new folder with two songs in songs/
    <!-- exit 1 -->            the last command of the block ends with this status, instead of 0
    <!-- not run: reason -->   skip the block, and say so; a reason `docs/verbs/plan.md runs it` is checked
    <!-- file: grid.yaml -->   before a block of another kind: the reader saves it under this name where they are

Skipped as a rule: blocks that need an audio interface and a person, and `buscomp demo`, which has a test of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.tests.small_dataset import write_wav_song

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"(?P<comments>(?:^<!--(?:(?!-->).)*-->\n)*)^```console\n(?P<body>.*?)^```$", re.M | re.S)
FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)^```$", re.M | re.S)
PROGRAMS = ("buscomp", "cd", "mkdir", "cp", "python")


@dataclass(frozen=True)
class Command:
    line: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    commands: tuple[Command, ...]
    dataset: str | None
    exit_status: int
    not_run: str | None
    files: tuple[tuple[str, str], ...]  # name and text of what is saved since the block before


def blocks(text: str) -> list[Block]:
    """The console blocks of a page."""
    found = []
    end = 0
    for match in BLOCK.finditer(text):
        files = tuple((file["name"], file["text"]) for file in FILE.finditer(text, end, match.start()))
        end = match.end()
        comments = match["comments"]
        dataset = re.search(r"dataset: (\w+)", comments)
        status = re.search(r"exit (\d)", comments)
        not_run = re.search(r"not run(?: here)?: *(\S.*?) *-->", comments)
        body = match["body"].replace("\\\n", " ")
        assert body.startswith("$ "), f"a console block begins with a command:\n{body}"
        commands = []
        for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
            line, *shown = part.rstrip("\n").split("\n")
            commands.append(Command(line, tuple(text.strip() for text in shown if text.strip())))
        found.append(
            Block(
                tuple(commands),
                dataset[1] if dataset else None,
                int(status[1]) if status else 0,
                not_run[1] if not_run else None,
                files,
            )
        )
    return found


def words(line: str) -> list[str]:
    """The words of a command without its comment. As in a shell, `#` begins one only where a word could begin."""
    return shlex.split(re.sub(r"(^|\s)#.*", "", line))


def run(line: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """`line` in `folder`, as a new user with an empty home would run it; output and errors together."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": programs, "HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(
        words(line),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def check_page(text: str, folder: Path, make_dataset: Callable[[Path], Dataset]) -> list[str]:
    """Run every block of a page; the reasons of those that are not run."""
    home = folder / "home"
    here = folder / "start"
    for new in (home, here):
        new.mkdir()
    skipped = []
    for number, block in enumerate(blocks(text)):
        if block.not_run:
            skipped.append(block.not_run)
            if elsewhere := re.search(r"(\S+\.md) runs it$", block.not_run):
                there = [
                    command.line for other in blocks((ROOT / elsewhere[1]).read_text()) for command in other.commands
                ]
                missing = [command.line for command in block.commands if command.line not in there]
                assert not missing, f"{elsewhere[1]} does not run: {'; '.join(missing)}"
            continue
        if block.dataset:
            here = folder / f"dataset-{number}"
            prepare(block.dataset, here, make_dataset)
        for name, saved in block.files:
            (here / name).write_text(saved)
        for command in block.commands:
            program, *arguments = words(command.line)
            assert program in PROGRAMS, f"{command.line}: a page runs {', '.join(PROGRAMS)} only; say why it is not run"
            if program == "cd":
                here = here / arguments[0]
                continue
            done = run(command.line, here, home)
            expected = block.exit_status if command is block.commands[-1] else 0
            assert done.returncode == expected, f"$ {command.line}\n{done.stdout}\nexit status {done.returncode}"
            for shown in command.shown:
                pattern = ".*".join(re.escape(part) for part in shown.split("..."))
                assert re.search(pattern, done.stdout), f"$ {command.line}\n{done.stdout}\nthe page shows: {shown}"
    return skipped


def prepare(kind: str, folder: Path, make_dataset: Callable[[Path], Dataset]) -> None:
    """What `<!-- dataset: kind -->` promises."""
    if kind == "small":
        make_dataset(folder)
    else:
        assert kind == "songs", f"no dataset {kind}: small or songs"
        write_wav_song(folder / "songs" / "First Light.wav", 8.0, tempo_bpm=112.0, tonic_hz=130.81)
        write_wav_song(folder / "songs" / "Night Bus.wav", 8.0, tempo_bpm=96.0, tonic_hz=110.0)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_the_page_works_as_shown(
    page: Path, tmp_path: Path, make_dataset: Callable[[Path], Dataset]
) -> None:
    text = page.read_text()
    skipped = check_page(text, tmp_path, make_dataset)
    if skipped and len(skipped) == len(blocks(text)):
        pytest.skip("; ".join(skipped))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```console\n$ buscomp verify\n```\n", "is not a dataset"),
        ("<!-- exit 0 -->\n```console\n$ buscomp nonsense\n```\n", "exit status 2"),
        ("```console\n$ buscomp --version\nversion of another world\n```\n", "the page shows: version of another"),
        ("```console\n$ rm -rf nothing\n```\n", "say why it is not run"),
        (
            "<!-- file: grid.yaml -->\n```yaml\nunit: none\n```\n```console\n$ buscomp plan\n```\n",
            "grid.yaml:1: factors: Field required",
        ),
        (
            "<!-- not run: docs/verbs/plan.md runs it -->\n```console\n$ buscomp plan\n$ buscomp split\n```\n",
            "docs/verbs/plan.md does not run: buscomp split",
        ),
        ("<!-- dataset: large -->\n```console\n$ buscomp status\n```\n", "no dataset large"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(
    page: str, message: str, tmp_path: Path, make_dataset: Callable[[Path], Dataset]
) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_page(page, tmp_path, make_dataset)


def test_a_page_that_is_right_passes_and_tells_what_it_skips(
    tmp_path: Path, make_dataset: Callable[[Path], Dataset]
) -> None:
    page = (
        "<!-- dataset: small -->\n```console\n$ buscomp status\nTakes: 12 accepted. ...\n```\n"
        "<!-- exit 2 -->\n```console\n$ mkdir deeper\n$ cd deeper\n"
        "$ buscomp verify --nonsense\nError: No such option ...\n```\n"
        "<!-- not run: needs a rack -->\n```console\n$ buscomp capture\n```\n"
    )
    assert check_page(page, tmp_path, make_dataset) == ["needs a rack"]


def test_the_python_of_the_readme_reads_a_dataset_and_prints_every_pair(tmp_path: Path, make_dataset):
    make_dataset(tmp_path / "my-dataset", songs=3, settings=4, seconds=1.0)
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["(44100, 2) -28.0 False", "(44100, 2) -20.0 False"]
