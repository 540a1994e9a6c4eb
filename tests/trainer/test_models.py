"""Every row of the registry: counts, causality, state, truncated backpropagation."""

from typing import Any

import pytest
import torch

from buscomp.manifests.errors import UsageError
from buscomp.trainer.optimiser import make_optimiser
from buscomp.trainer.registry import REGISTRY, ROWS, build
from buscomp.trainer.state import detach, parameter_count

COUNTS = {  # at the number of controls of the paper
    ("s4-4-4", "film"): 8_849,
    ("s4-4-4", "tvfilm"): 11_569,
    ("s4-8-32", "film"): 29_713,
    ("s4-8-32", "tvfilm"): 32_433,
    ("gcn-5-7", "film"): 28_993,
    ("gcn-5-7", "tvfilm"): 31_713,
    ("gcn-10-3", "film"): 40_513,
    ("gcn-10-3", "tvfilm"): 43_233,
    ("ssm-c16-f4", "film"): 8_233,
    ("ssm-c16-f8", "film"): 9_257,
    ("ssm-c32-f4", "film"): 16_857,
    ("ssm-c32-f8", "film"): 18_905,
}
every_row = pytest.mark.parametrize(("name", "conditioning"), ROWS)


def made(name, conditioning, dtype=torch.float64, controls=5, seed=1) -> Any:
    """A model in evaluation mode whose normalisations have seen something."""
    torch.manual_seed(seed)
    model: Any = build(name, conditioning, controls)
    for module in model.modules():
        if (
            isinstance(module, torch.nn.BatchNorm1d)
            and module.running_mean is not None
            and module.running_var is not None
        ):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.to(dtype).eval()


def noise(batch, frames, dtype=torch.float64, seed=2):
    return 0.2 * torch.randn(batch, 1, frames, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def in_chunks(model, x, controls, chunk):
    """Chunks of 1 begin after 120 samples, just before the first border of a block."""
    state, parts = None, []
    for piece in (x[..., :120], *x[..., 120:].split(1, -1)) if chunk == 1 else x.split(chunk, -1):
        y, state = model(piece, controls, state)
        parts.append(y)
    return torch.cat(parts, dim=-1)


def relative(error, reference):
    return float((error - reference).abs().max() / reference.abs().max())


def test_every_row_has_its_count():
    assert set(COUNTS) == set(ROWS)


@every_row
def test_parameter_count_is_the_papers(name, conditioning):
    model = build(name, conditioning, REGISTRY[name].paper_controls)
    assert parameter_count(model) == COUNTS[name, conditioning]


@pytest.mark.parametrize(("conditioning", "growth"), [("film", 32), ("tvfilm", 128)])
def test_a_fifth_control_adds_32_parameters_to_film_and_128_to_tvfilm(conditioning, growth):
    for name in ("s4-4-4", "gcn-10-3"):
        four, five = (parameter_count(build(name, conditioning, controls)) for controls in (4, 5))
        assert five - four == growth


@every_row
def test_output_before_a_changed_sample_does_not_change_and_at_it_does(name, conditioning):
    model, controls, x = made(name, conditioning), torch.rand(1, 5).double(), noise(1, 1200)
    with torch.no_grad():
        y, _ = model(x, controls)
        for at in (0, 127, 128, 129, 500, 1023):
            other = x.clone()
            other[..., at] += 0.5
            changed = (model(other, controls)[0] - y).abs()[0, 0] > 1e-12
            assert int(changed.nonzero()[0]) == at


@every_row
@pytest.mark.parametrize("chunk", [1, 37, 100, 128, 4096])
def test_chunks_with_state_equal_the_whole_to_1e_10_in_float64_and_1e_5_in_float32(name, conditioning, chunk):
    frames = {1: 140, 4096: 4500}.get(chunk, 700)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, controls, x = made(name, conditioning, dtype), torch.rand(2, 5, dtype=dtype), noise(2, frames, dtype)
        with torch.no_grad():
            whole, _ = model(x, controls)
            assert relative(in_chunks(model, x, controls, chunk), whole) < tolerance


@every_row
def test_a_stream_begins_after_silence(name, conditioning):
    """2048 zeros before the signal change nothing in convolutions; S4 begins from zero state, as published."""
    model, controls, x = made(name, conditioning), torch.rand(2, 5).double(), noise(2, 700)
    with torch.no_grad():
        y, _ = model(x, controls)
        if name.startswith("gcn"):
            from_silence = in_chunks(model, torch.cat([torch.zeros(2, 1, 4096).double(), x], dim=-1), controls, 2048)
            if conditioning == "film":  # with TVFiLM the LSTM goes on moving, slowly, while it hears silence
                assert relative(y, from_silence[..., -700:]) < 1e-10
            silent, _ = model(torch.zeros(2, 1, 2048).double(), controls, model.initial_state(controls))
            assert (silent - silent[..., -1:]).abs().max() < 1e-2 * y.abs().max()
        else:
            assert all(float(value.abs().sum()) in (0.0, 128.0) for value in model.initial_state(controls).values())


@every_row
def test_gradients_do_not_cross_chunks_but_values_do(name, conditioning):
    model, controls = made(name, conditioning), torch.rand(2, 5).double()
    first, second = noise(2, 640).requires_grad_(), noise(2, 640, seed=3)
    _, state = model(first, controls)
    y, _ = model(second, controls, detach(state))
    assert torch.autograd.grad(y.sum(), first, allow_unused=True) == (None,)
    alone, _ = model(second, controls)
    assert relative(alone.detach(), y.detach()) > 1e-6
    kept, _ = model(second, controls, state)
    assert torch.autograd.grad(kept.sum(), first)[0].abs().max() > 0


@every_row
def test_three_chunks_of_truncated_backpropagation_move_every_parameter(name, conditioning):
    model, controls = made(name, conditioning, torch.float32).train(), torch.rand(3, 5)
    before = {key: value.clone() for key, value in model.named_parameters() if value.requires_grad}
    optimiser, state = make_optimiser(model, 1e-2), None
    for chunk in range(3):
        y, state = model(noise(3, 384, torch.float32, seed=chunk), controls, state)
        optimiser.zero_grad()
        (y - 0.1).square().mean().backward()
        optimiser.step()
        state = detach(state)
    still = [key for key, value in model.named_parameters() if key in before and torch.equal(value, before[key])]
    assert still == []


@pytest.mark.parametrize("name", ["gcn-5-7", "gcn-10-3"])
def test_the_last_mix_of_gcn_is_frozen_counted_and_has_272_parameters(name):
    model: Any = build(name, "film", 4)
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    assert sum(parameter.numel() for parameter in frozen) == 272
    controls = torch.rand(1, 4)
    y, _ = model.eval()(noise(1, 256, torch.float32), controls)
    model.mixes[-1].weight.add_(1.0)
    again, _ = model(noise(1, 256, torch.float32), controls)
    assert torch.equal(y, again)


def test_an_impulse_stays_at_its_sample_through_a_gcn_of_identities():
    """The published residual is one sample late per block."""
    model: Any = build("gcn-10-3", "film", 5).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for convolution, mix in zip(model.convolutions, model.mixes, strict=True):
            convolution.weight[:16, :, -1] = 1e-3  # the tap of the present instant
            mix.weight.copy_(torch.eye(16))
        for linear in model.conditioner.maps:
            linear.bias[:32] = 1.0  # gamma
        model.narrow.weight.fill_(1.0)
        x = torch.zeros(1, 1, 3000, dtype=torch.float64)
        x[..., 1000] = 1.0
        y, _ = model(x, torch.zeros(1, 5).double())
        assert int(y.abs().argmax()) == 1000
        assert float(y[..., :1000].abs().max()) == 0.0
        assert float(y[..., 1001:].abs().max()) == 0.0


def test_receptive_fields_of_both_gcn_are_2047_samples():
    assert build("gcn-5-7", "film", 4).receptive_field == build("gcn-10-3", "film", 4).receptive_field == 2047


def test_unknown_names_list_what_there_is():
    with pytest.raises(UsageError, match=r"no such model, got wavenet \(allowed: s4-4-4, "):
        build("wavenet", "film", 4)
    with pytest.raises(UsageError, match=r"ssm-c16-f4 has no such conditioning, got tvfilm \(allowed: film\)"):
        build("ssm-c16-f4", "tvfilm", 4)
