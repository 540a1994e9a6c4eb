"""ONNX graphs: chunk after chunk with carried state, they give what the PyTorch model gives in one call."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.manifests.errors import UsageError
from buscomp.trainer.checkpoint import load_model
from buscomp.trainer.onnx_export import export_onnx
from buscomp.trainer.registry import REGISTRY, ROWS, build
from buscomp.trainer.streaming_measure import one_call, struck_tones
from buscomp.trainer.train import train

onnxruntime = pytest.importorskip("onnxruntime")
RATE = 44_100
BLACK_BOXES = [row for row in ROWS if row[0].startswith(("s4-4", "ssm-c16", "tcn", "gcn", "lstm"))]


def run_graph(path, sound, controls, frames: int):
    """Outputs of the graph over `sound` (frames, 1), from the state that lies beside it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    heard = {described.name for described in session.get_inputs()}
    names = [described.name for described in session.get_outputs()]
    state = dict(np.load(path.with_suffix(".npz")))
    parts = []
    for begin in range(0, len(sound), frames):
        inputs = {"x": sound[None, None, begin : begin + frames, 0], "controls": controls[None]} | state
        outputs = dict(zip(names, session.run(None, {k: v for k, v in inputs.items() if k in heard}), strict=True))
        parts.append(outputs.pop("y")[0, 0])
        state = {name.replace("next.", "state.", 1): value for name, value in outputs.items()}
    return np.concatenate(parts)[:, None], session


def in_double_precision(model, controls, sound):
    """The PyTorch model in one call; in single precision a network with random weights may itself be off by 1e-5."""
    x, c = torch.from_numpy(sound.T.copy())[None].double(), torch.from_numpy(controls)[None].double()
    with torch.inference_mode():
        return copy.deepcopy(model).double()(x, c)[0][0].numpy().T


def relative(one, other) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "conditioning"), BLACK_BOXES)
def test_a_graph_of_128_samples_equals_the_model_within_1e_5(tmp_path, name, conditioning):
    torch.manual_seed(0)
    model = build(name, conditioning, REGISTRY[name].paper_controls).eval()
    controls = np.random.default_rng(0).random(model.controls).astype(np.float32)
    export_onnx(model, tmp_path / "m.onnx", 128, controls, [f"c{i}" for i in range(model.controls)], RATE)
    sound = struck_tones(1280, RATE)
    got, session = run_graph(tmp_path / "m.onnx", sound, controls, 128)
    assert relative(got, in_double_precision(model, controls, sound)) < 1e-5
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["sample_rate_hz"] == "44100"
    assert facts["controls"].split(",")[-1] == f"c{model.controls - 1}"


@pytest.mark.parametrize("frames", [1, 37, 100, 200])
def test_without_blocks_any_number_of_samples_is_possible(tmp_path, frames):
    torch.manual_seed(0)
    model = build("ssm-c16-f4", "film", 2).eval()
    controls = np.array([0.2, 0.7], np.float32)
    export_onnx(model, tmp_path / "m.onnx", frames, controls, ["a", "b"], RATE)
    sound = struck_tones(6 * frames, RATE)
    assert relative(run_graph(tmp_path / "m.onnx", sound, controls, frames)[0], one_call(model, controls, sound)) < 1e-5


def test_the_verb_writes_a_trained_model(dataset, tmp_path):
    run = train(dataset, model="s4-4-4", conditioning="tvfilm", steps=4, batch=2, chunk_frames=2048, clip_chunks=4)
    path = tmp_path / "model.onnx"
    told = CliRunner().invoke(main, ["stream", run.folder.name, "--onnx", str(path), "--dataset", str(dataset.root)])
    assert told.exit_code == 0, told.output
    model, _ = load_model(run)
    controls = np.full(model.controls, 0.5, np.float32)
    sound = struck_tones(1280, RATE)
    assert relative(run_graph(path, sound, controls, 128)[0], one_call(model, controls, sound)) < 1e-5


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path):
    controls = np.zeros(4, np.float32)
    path, names = tmp_path / "m.onnx", list("abcd")
    with pytest.raises(UsageError, match=r"whole blocks in ONNX, got --buffer 100"):
        export_onnx(build("s4-4-4", "tvfilm", 4), path, 100, controls, names, RATE)
    grey = build("grey-hard-gru-switching", REGISTRY["grey-hard-gru-switching"].conditionings[-1], 4)
    with pytest.raises(UsageError, match="its recurrence has no operator"):
        export_onnx(grey, path, 128, controls, names, RATE)
    with pytest.raises(UsageError, match="fixed buffer, got 5000"):
        export_onnx(build("lstm-32", "concat", 4), path, 5000, controls, names, RATE)
    assert not path.exists()
