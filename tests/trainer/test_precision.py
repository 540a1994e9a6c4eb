"""bf16 keeps weights, states, S4D and loss in float32. Autocast on a CPU stands for that on a GPU."""

import json

import pytest
import torch

from buscomp.manifests.errors import UsageError
from buscomp.trainer.checkpoint import load_about, load_model
from buscomp.trainer.loss import training_loss
from buscomp.trainer.precision import computing, kept, prepare
from buscomp.trainer.registry import build
from buscomp.trainer.s4d import S4D
from buscomp.trainer.train import train

CPU = torch.device("cpu")
ROWS = (
    ("s4-4-4", "film"), ("s4-4-4", "tvfilm"), ("tcn-10-3", "tfilm"), ("gcn-5-7", "ttfilm"), ("lstm-32", "tvconcat"),
    ("ssm-c16-f4", "film"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "conditioning"), ROWS)
def test_a_bf16_step_has_float32_states_and_gradients_and_nearly_the_loss_of_float32(name, conditioning):
    torch.manual_seed(1)
    model, x, controls = build(name, conditioning, 5), 0.1 * torch.randn(2, 1, 2048), torch.rand(2, 5)
    exact = build(name, conditioning, 5)
    exact.load_state_dict(model.state_dict())
    heard: list[torch.dtype] = []
    for module in model.modules():
        if isinstance(module, S4D):
            module.register_forward_hook(lambda module, inputs, output: heard.append(output[0].dtype))
    prepare(model, "bf16")
    with computing("bf16", CPU):
        y, state = model(x, controls)
        y, state = model(x, controls, kept(state))
    assert set(heard) <= {torch.float32}
    assert not any(value.dtype == torch.bfloat16 or value.requires_grad for value in kept(state).values())
    loss = training_loss(y.float(), 0.5 * x)
    loss.backward()
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None or (parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all())
    _, state = exact(x, controls)
    y, _ = exact(x, controls, state)
    assert float(loss.detach()) == pytest.approx(float(training_loss(y, 0.5 * x).detach()), rel=0.2)


def test_float32_computes_what_it_computes_without_asking():
    torch.manual_seed(1)
    model, x, controls = build("s4-4-4", "tvfilm", 5), torch.randn(2, 1, 2048), torch.rand(2, 5)
    plain, _ = model(x, controls)
    prepare(model, "float32")
    with computing("float32", CPU):
        assert torch.equal(model(x, controls)[0], plain)


def test_a_bf16_run_is_written_down_and_loads_as_any_other(dataset):
    first_losses = {}
    for precision in ("float32", "bf16"):
        run = train(dataset, steps=2, precision=precision, batch=2, chunk_frames=2048, clip_chunks=3, log_every=1)
        assert load_about(run)["precision"] == precision
        first_losses[precision] = json.loads(run.log.read_text().splitlines()[0])["loss"]
        model, _ = load_model(run)
        assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    assert first_losses["bf16"] != first_losses["float32"]
    assert first_losses["bf16"] == pytest.approx(first_losses["float32"], rel=1.0)


def test_a_grey_box_is_not_trained_in_16_bits():
    with pytest.raises(UsageError, match=r"a grey box is not trained in 16 bits, got bf16 \(allowed: float32, tf32\)"):
        prepare(build("grey-soft-static-one-pole", "mlp", 5), "bf16")
