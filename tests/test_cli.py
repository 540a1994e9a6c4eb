"""The command line helps whoever types it: sections, completion, the nearest word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from buscomp.capture.device import AudioDevice, DeviceProfile, choose_device
from buscomp.cli import SECTIONS, VERBS, main
from buscomp.manifests.errors import UsageError, did_you_mean
from buscomp.trainer.registry import build

PROGRAM = Path(sys.executable).with_name("buscomp")


def told(*words: str) -> str:
    answer = CliRunner().invoke(main, list(words))
    assert answer.exit_code == 2
    return answer.output.strip()


def test_help_lists_every_verb_once_under_the_section_that_it_belongs_to_by_the_way_of_the_data():
    answer = CliRunner().invoke(main, ["--help"], terminal_width=120).output
    body = answer.partition("--help  Show this message")[2]
    assert re.findall(r"^(\w[^\n]*):$", body, re.M) == list(SECTIONS.values())
    assert re.findall(r"^  ([a-z]+) ", body, re.M) == list(VERBS)
    assert set(SECTIONS) <= set(VERBS)
    assert list(VERBS).index("catalog") < list(VERBS).index("capture") < list(VERBS).index("train")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("captur",), "did you mean capture?"),
        (("evalute",), "did you mean evaluate?"),
        (("plan", "--grid", "grid-129"), "did you mean grid-192?"),
        (("plan", "--hand-free"), "Did you mean '--hands-free'?"),
        (("capture", "--device", "virtual", "--fault", "swop"), "did you mean swap?"),
        (("annotate", "--backend", "musicn"), "did you mean musicnn?"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest_one(
    words: tuple[str, ...], nearest: str, dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(dataset.root)
    line = told(*words).splitlines()[-1]
    assert line.startswith("Error: ")
    assert nearest in line


def test_a_mistyped_model_or_device_is_answered_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"no such model, got s4-4-5 \(allowed: .*\); did you mean s4-4-4\?$"):
        build("s4-4-5", "film", 4)
    studio = AudioDevice("Scarlett 2i2 USB", "ALSA", 2, 2, 48_000)
    for typed, nearest in (("virtul", "virtual"), ("scarlet 2i2", "Scarlett 2i2 USB")):
        with pytest.raises(UsageError, match=f"did you mean {nearest}\\? type `buscomp devices`$"):
            choose_device([studio], DeviceProfile(match=typed))


def test_a_word_that_is_like_none_gets_no_guess_and_one_that_is_right_no_hint():
    assert did_you_mean("xylophone", VERBS) is None
    assert did_you_mean("capture", VERBS) is None
    assert did_you_mean("VIRTUL", ["fireface", "virtual"]) == "did you mean virtual?"
    assert told("xylophone") == "Error: no such verb, got xylophone; type `buscomp --help`"
    assert str(UsageError("no such fold", got=7, allowed=["1", "2"])) == "no such fold, got 7 (allowed: 1, 2)"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("buscomp ca", ["calibrate", "catalog", "capture"]),
        ("buscomp --v", ["--version"]),
        ("buscomp capture --gr", ["--grid"]),
        ("buscomp capture --device fi", ["fireface"]),
        ("buscomp plan --grid g", ["grid", "grid-192", "grid-demo", "grid-mine.yaml"]),
        ("buscomp train --recipe p", ["paper-a", "paper-b"]),
    ],
)
def test_bash_completes_verbs_options_and_names(typed: str, offered: list[str], tmp_path: Path):
    (tmp_path / "grid-mine.yaml").touch()
    asked = {"_BUSCOMP_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    answer = subprocess.run([PROGRAM], cwd=tmp_path, env=os.environ | asked, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert [line.split(",", 1)[1] for line in answer.stdout.splitlines()] == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_line_of_the_page_makes_bash_complete_a_verb():
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "install.md").read_text()
    line = re.search(r"^(eval \S.*?) +# bash", page, re.M)
    assert line
    script = f'{line[1]}\nCOMP_WORDS=(buscomp expo) COMP_CWORD=1\n_buscomp_completion buscomp\necho "$COMPREPLY"'
    answer = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert answer.stdout == "export\n", answer.stderr
