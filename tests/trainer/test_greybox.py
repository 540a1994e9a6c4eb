"""Every grey box: counts, causality, state, and the parts of GreyBoxDRC and the ToneTwist chains."""

from typing import Any

import pytest
import torch

from buscomp.trainer import greybox, physical, tonetwist
from buscomp.trainer.entry import SAME, Options
from buscomp.trainer.optimiser import make_optimiser
from buscomp.trainer.state import detach, parameter_count

ENTRIES = {entry.name: entry for entry in (*greybox.ENTRIES, *tonetwist.ENTRIES, *physical.ENTRIES)}
COUNTS = {  # Table 3 of paper A, K = 4
    "grey-soft-static-one-pole": 586,
    "grey-soft-static-switching": 587,
    "grey-soft-static-modulated": 682,
    "grey-hard-gru-one-pole": 836,
    "grey-hard-gru-switching": 837,
    "grey-hard-gru-modulated": 932,
    "tonetwist": 1_615,
    "tonetwist-inversion": 1_952,
}
every_model = pytest.mark.parametrize("name", ENTRIES)


def made(name, controls=5, dtype=torch.float64, seed=1, **options) -> Any:
    torch.manual_seed(seed)
    entry = ENTRIES[name]
    model = entry.build(entry.conditionings[-1], controls, Options(**options))
    if name.startswith("physical"):  # knobs do nothing yet: turn something
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.to(dtype).eval()


def noise(batch, frames, dtype=torch.float64, seed=2):
    return 0.2 * torch.randn(batch, 1, frames, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def relative(error, reference):
    return float((error - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_count_at_4_controls_is_that_of_table_3(name):
    entry = ENTRIES[name]
    assert parameter_count(entry.build(entry.conditionings[-1], 4, Options())) == COUNTS[name]


@every_model
def test_output_before_a_changed_sample_does_not_change_and_at_it_does(name):
    model, controls, x = made(name), torch.rand(1, 5).double(), noise(1, 1200)
    assert model.look_ahead_samples == 0
    with torch.no_grad():
        y, _ = model(x, controls)
        for at in (0, 127, 128, 129, 500, 1023):
            other = x.clone()
            other[..., at] += 0.5
            assert int((model(other, controls)[0] - y).abs()[0, 0].gt(1e-12).nonzero()[0]) == at


@every_model
@pytest.mark.parametrize("chunk", [1, 37, 128, 4096])
def test_chunks_with_state_equal_the_whole_to_1e_10_in_float64_and_1e_5_in_float32(name, chunk):
    frames = {1: 140, 4096: 4500}.get(chunk, 700)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        model, controls, x = made(name, dtype=dtype), torch.rand(2, 5, dtype=dtype), noise(2, frames, dtype)
        state, parts = None, []
        with torch.no_grad():
            whole, _ = model(x, controls)
            for piece in x.split(chunk, -1):
                y, state = model(piece, controls, state)
                parts.append(y)
        assert relative(torch.cat(parts, dim=-1), whole) < tolerance


@every_model
def test_a_chunk_goes_on_with_the_state_but_not_with_its_gradients(name):
    model, controls = made(name), torch.rand(2, 5).double()
    first, second = noise(2, 640).requires_grad_(), noise(2, 640, seed=3)
    _, state = model(first, controls)
    assert torch.autograd.grad(model(second, controls, detach(state))[0].sum(), first, allow_unused=True) == (None,)
    assert relative(model(second, controls)[0].detach(), model(second, controls, state)[0].detach()) > 1e-6
    assert torch.autograd.grad(model(second, controls, state)[0].sum(), first)[0].abs().max() > 0


@every_model
def test_three_chunks_of_truncated_backpropagation_move_every_parameter(name):
    model, controls = made(name, dtype=torch.float32).train(), torch.rand(3, 5)
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimiser, state = make_optimiser(model, 1e-2), None
    for chunk, factor in enumerate((1, 0.01, 1)):  # slow branches, too, fill and empty
        y, state = model(factor * noise(3, 2048, torch.float32, seed=chunk), controls, state)
        optimiser.zero_grad()
        (y - 0.1).square().mean().backward()
        optimiser.step()
        state = detach(state)
    assert [key for key, value in model.named_parameters() if torch.equal(value, before[key])] == []


@pytest.mark.parametrize("name", ["grey-soft-static-one-pole", "grey-soft-static-switching", "physical-feedforward"])
def test_times_are_in_seconds_at_any_sample_rate(name):
    """Twice the rate and each sample twice: the same sound."""
    controls, x = torch.rand(1, 5).double(), noise(1, 3000)
    with torch.no_grad():
        y, _ = made(name, sample_rate=88_200)(x.repeat_interleave(2, dim=-1), controls)
        assert relative(y[..., 1::2], made(name)(x, controls)[0]) < 1e-3


@pytest.mark.parametrize("soft", [False, True])
def test_the_static_curve_is_the_published_one(soft):
    model = made("grey-soft-static-one-pole" if soft else "grey-hard-gru-one-pole")
    controls, levels = torch.rand(3, 5).double(), torch.linspace(-80, 0, 161).double().expand(3, -1)
    with torch.no_grad():
        bounded = torch.sigmoid(model.curve(controls))
        found = model.wanted_db(levels, controls)
    for b in range(3):
        t, r = -80 * float(bounded[b, 0]), 1 + 30 * float(bounded[b, 1])
        w = 30 * float(bounded[b, 2]) if soft else 0.0
        for x, gain_db in zip(levels[b].tolist(), found[b].tolist(), strict=True):
            if 2 * (x - t) <= -w:
                expected = 0.0
            elif 2 * (x - t) < w:
                expected = (1 / r - 1) * (x - t + w / 2) ** 2 / (2 * w)
            else:
                expected = (1 / r - 1) * (x - t)
            assert gain_db == pytest.approx(expected, abs=1e-9)


def test_the_inverted_chain_inverts_and_the_other_does_not():
    controls, x = torch.rand(1, 5).double(), noise(1, 2048)
    for name, sign in (("tonetwist-inversion", -1), ("tonetwist", 1)):
        model = made(name)
        for parameter in model.parameters():
            parameter.data.zero_()  # every sigmoid at a half: no equaliser, no gain
        y, _ = model(x, controls)
        assert relative(y.detach(), sign * x) < 1e-9


def test_the_published_alignment_of_the_dynamic_gain_looks_ahead_and_says_so():
    assert made("tonetwist", alignment=SAME).look_ahead_samples == 127
