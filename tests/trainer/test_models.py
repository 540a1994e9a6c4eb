"""Every row of the black boxes: counts, causality, state, truncated backpropagation."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.errors import UsageError
from buscomp.trainer import gcn, lstm, s4, ssm, tcn
from buscomp.trainer.conditioning import FILM, TFILM, TTFILM
from buscomp.trainer.lstm import CONCAT
from buscomp.trainer.optimiser import make_optimiser, parameter_groups
from buscomp.trainer.registry import REGISTRY, build, listing
from buscomp.trainer.state import detach, parameter_count

COUNTS = {  # by conditioning, at the number of controls of the paper
    "lstm-32": {"concat": 5_025, "tvconcat": 8_033},
    "lstm-96": {"concat": 39_649, "tvconcat": 45_729},
    "tcn-5-7": {"film": 15_009, "tfilm": 42_017, "ttfilm": 17_317, "tvfilm": 17_729},
    "tcn-10-3": {"film": 20_129, "tfilm": 76_417, "ttfilm": 27_017, "tvfilm": 22_849},
    "gcn-5-7": {"film": 28_993, "tfilm": 146_721, "ttfilm": 31_621, "tvfilm": 31_713},
    "gcn-10-3": {"film": 40_513, "tfilm": 278_241, "ttfilm": 48_041, "tvfilm": 43_233},
    "s4-4-4": {"film": 8_849, "tfilm": 30_001, "ttfilm": 10_241, "tvfilm": 11_569},
    "s4-8-32": {"film": 29_713, "tfilm": 74_289, "ttfilm": 34_769, "tvfilm": 32_433},
    "ssm-c16-f4": {"film": 8_233},
    "ssm-c16-f8": {"film": 9_257},
    "ssm-c32-f4": {"film": 16_857},
    "ssm-c32-f8": {"film": 18_905},
    "tcn-100": {"film": 25_905},
    "tcn-300": {"film": 50_737},
    "tcn-1000": {"film": 33_201},
}
ROWS = [(name, conditioning) for name, of_name in COUNTS.items() for conditioning in of_name]
VARYING = [row for row in ROWS if row[1] not in (FILM, CONCAT)]
every_row = pytest.mark.parametrize(("name", "conditioning"), ROWS)
every_varying_row = pytest.mark.parametrize(("name", "conditioning"), VARYING)
CONTROLS = torch.tensor([[0.9, 0.2, 0.7, 0.4, 1.0], [0.1, 0.8, 0.3, 0.6, 0.0]], dtype=torch.float64)


@cache
def made(name, conditioning, dtype=torch.float64, **options) -> Any:
    """A model in evaluation mode that sounds: weights are not near zero, its normalisations have seen something, and
    its output is about as loud as its input."""
    torch.manual_seed(1)
    model: Any = build(name, conditioning, 5, **options)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lstm" in key:
                parameter.mul_(2.0)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                mean, variance = module.running_mean, module.running_var
                assert mean is not None
                assert variance is not None
                mean.uniform_(-0.1, 0.1)
                variance.uniform_(0.05, 0.2)
        model.to(dtype).eval()
        y, _ = model(noise(2, 512, dtype), CONTROLS.to(dtype))
        model.narrow.weight.mul_(0.2 / y.std())
    return model


@cache
def from_silence(model):
    return model.initial_state(CONTROLS.to(model.narrow.weight.dtype))


def noise(batch, frames, dtype=torch.float64, seed=2):
    """With a level that changes every 100 frames."""
    random = torch.Generator().manual_seed(seed)
    levels = torch.rand(batch, 1, -(-frames // 100), dtype=torch.float64, generator=random)
    loudness = levels.repeat_interleave(100, dim=-1)[..., :frames]
    return (0.4 * loudness * torch.randn(batch, 1, frames, dtype=torch.float64, generator=random)).to(dtype)


@torch.no_grad()
def in_chunks(model, x, chunks):
    controls, state, parts = CONTROLS.to(x.dtype), from_silence(model), []
    for piece in x.split(chunks, -1):
        y, state = model(piece, controls, state)
        parts.append(y)
    return torch.cat(parts, dim=-1)


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_the_registry_has_exactly_these_black_boxes():
    found = [entry for family in (lstm, tcn, gcn, s4, ssm) for entry in family.ENTRIES]
    assert {entry.name: set(entry.conditionings) for entry in found} == {name: set(COUNTS[name]) for name in COUNTS}
    assert all(REGISTRY[entry.name] is entry for entry in found)


@every_row
def test_parameter_count_is_the_papers(name, conditioning):
    model = build(name, conditioning, REGISTRY[name].paper_controls)
    assert parameter_count(model) == COUNTS[name][conditioning]


def test_28_rows_are_paper_as_at_4_controls_and_the_lstm_of_paper_b_has_4769_parameters_at_2():
    assert sum(REGISTRY[name].paper_controls == 4 for name, _ in ROWS) == 28
    assert parameter_count(build("lstm-32", "concat", 2)) == 4_769


def test_the_listing_says_what_each_row_is_and_that_it_does_not_look_ahead():
    rows = {(row["model"], row["conditioning"]): row for row in listing()}
    row = rows["gcn-10-3", "tfilm"]
    assert row == {
        "model": "gcn-10-3",
        "configuration": "paper A, 10 blocks, kernel 3, dilation 2^i",
        "conditioning": "tfilm",
        "controls": 4,
        "params": 278_241,
        "look_ahead_samples": 0,
    }
    assert all(rows[row]["look_ahead_samples"] == 0 for row in ROWS)


@pytest.mark.parametrize(
    ("name", "conditioning", "growth"),
    [
        ("s4-4-4", "film", 32), ("s4-4-4", "tfilm", 4 * 8 * 16), ("s4-4-4", "ttfilm", 4 * 16),
        ("s4-4-4", "tvfilm", 128), ("gcn-10-3", "tfilm", 10 * 8 * 32), ("lstm-32", "concat", 4 * 32),
        ("lstm-32", "tvconcat", 64),
    ],
)  # fmt: skip
def test_a_fifth_control_adds_what_the_formulas_say(name, conditioning, growth):
    four, five = (parameter_count(build(name, conditioning, controls)) for controls in (4, 5))
    assert five - four == growth


@every_row
def test_output_before_a_changed_sample_does_not_change_and_at_it_does(name, conditioning):
    model, places = made(name, conditioning), (0, 127, 128, 129, 500, 1023)
    x = noise(1, 1152).repeat(len(places) + 1, 1, 1)
    for row, at in enumerate(places):
        x[row, 0, at] += 0.5
    with torch.no_grad():
        y, _ = model(x, CONTROLS[:1].expand(len(x), -1))
    for row, at in enumerate(places):
        changed = ((y[row] - y[-1])[0].abs() > 1e-12).nonzero()
        assert int(changed[0]) == at


@every_row
@settings(max_examples=3, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_chunks_equal_the_whole_to_1e_12_in_float64_and_1e_5_in_float32(name, conditioning, data):
    chunks = data.draw(st.lists(st.integers(1, 300) | st.sampled_from([1, 1, 127, 128, 256]), min_size=2, max_size=6))
    frames = sum(chunks)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        model, x = made(name, conditioning, dtype), noise(2, frames, dtype)
        assert relative(in_chunks(model, x, chunks), in_chunks(model, x, [frames])) < tolerance


@pytest.mark.parametrize(
    ("name", "conditioning"),
    [
        ("lstm-32", "tvconcat"),
        ("tcn-5-7", "tfilm"),
        ("gcn-5-7", "ttfilm"),
        ("s4-4-4", "tvfilm"),
        ("ssm-c16-f4", "film"),
    ],
)  # fmt: skip
def test_140_chunks_of_1_sample_equal_the_whole(name, conditioning):
    model, x = made(name, conditioning), noise(2, 240)
    assert relative(in_chunks(model, x, [100] + [1] * 140), in_chunks(model, x, [240])) < 1e-12


@every_varying_row
def test_the_published_alignment_looks_ahead_to_the_end_of_a_block_and_no_further(name, conditioning):
    """A peak that is the loudest of its block changes the block from its begin."""
    model, at = made(name, conditioning, alignment="same"), 500
    assert model.look_ahead_samples == 127
    x = noise(1, 768).repeat(2, 1, 1)
    x[0, 0, at] += 3.0
    with torch.no_grad():
        y, _ = model(x, CONTROLS[:1].expand(2, -1))
    first = int(((y[0] - y[1])[0].abs() > 1e-12).nonzero()[0])
    assert first == at // 128 * 128


@every_varying_row
def test_the_published_alignment_takes_whole_blocks_only(name, conditioning):
    model, x = made(name, conditioning, alignment="same"), noise(2, 896)
    assert relative(in_chunks(model, x, [128, 512, 256]), in_chunks(model, x, [896])) < 1e-12
    with pytest.raises(UsageError, match=r"chunks must be whole blocks with alignment same, got 100 \(allowed: 128, 2"):
        in_chunks(model, x, [100, 796])


@pytest.mark.parametrize(("name", "conditioning"), [row for row in ROWS if row[0][:3] in ("tcn", "gcn")])
def test_silence_before_a_stream_of_convolutions_lasts_longer_than_their_memory(name, conditioning):
    """With FiLM the state is the one that any amount of silence leaves; with the others a conditioner has heard just
    the receptive field of it, so that what came before may not be heard in the convolutions."""
    model, begin = made(name, conditioning), from_silence(made(name, conditioning))
    frames = 128 if conditioning == FILM else 2048
    before = dict(begin) if conditioning == FILM else model.conditioner.initial_state(2)
    if conditioning == "tvfilm":  # which hears the signal and nothing of the convolutions
        for i, convolution in enumerate(model.convolutions):
            context = (convolution.kernel_size[0] - 1) * convolution.dilation[0]
            before[f"context.{i}"] = noise(2, convolution.in_channels * context).view(2, -1, context)
    with torch.no_grad():
        _, after = model(torch.zeros(2, 1, frames).double(), CONTROLS, before)
    assert set(after) == set(begin)
    for key, value in begin.items():
        torch.testing.assert_close(after[key], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "conditioning"), [row for row in ROWS if row[0][:3] not in ("tcn", "gcn")])
def test_silence_before_a_stream_of_the_others_is_zero_state(name, conditioning):
    begin = from_silence(made(name, conditioning))
    assert all(float(value.abs().sum()) == (128 if key == "block.position" else 0) for key, value in begin.items())


@every_row
def test_gradients_do_not_cross_chunks_but_values_do(name, conditioning):
    model = made(name, conditioning)
    first, second = noise(2, 384).requires_grad_(), noise(2, 384, seed=3)
    _, state = model(first, CONTROLS, from_silence(model))
    y, _ = model(second, CONTROLS, detach(state))
    assert torch.autograd.grad(y.sum(), first, allow_unused=True) == (None,)
    alone, _ = model(second, CONTROLS, from_silence(model))
    assert relative(alone.detach(), y.detach()) > 1e-6
    kept, _ = model(second, CONTROLS, state)
    assert torch.autograd.grad(kept.sum(), first)[0].abs().max() > 0


@every_row
def test_three_chunks_of_truncated_backpropagation_move_every_parameter(name, conditioning):
    torch.manual_seed(3)
    model, controls = build(name, conditioning, 5), CONTROLS.float()
    before = {key: value.clone() for key, value in model.named_parameters() if value.requires_grad}
    optimiser, state = make_optimiser(model, 1e-2), None
    for chunk in range(3):
        y, state = model(noise(2, 256, torch.float32, seed=chunk), controls, state)
        optimiser.zero_grad()
        (y - 0.1).square().mean().backward()
        optimiser.step()
        state = detach(state)
    still = [key for key, value in model.named_parameters() if key in before and torch.equal(value, before[key])]
    assert still == []


@every_row
def test_weights_decay_while_biases_scales_and_everything_in_s4d_do_not(name, conditioning):
    model = build(name, conditioning, 5)
    groups = parameter_groups(model)
    trainable = {key for key, value in model.named_parameters() if value.requires_grad}
    assert {key for group in groups.values() for key in group} == trainable
    assert set(groups["s4d"]) == {key for key in trainable if key.startswith("s4ds.")}
    undecayed = {key for key in trainable if "bias" in key or "prelus" in key or "residual_scales" in key}
    assert set(groups["undecayed"]) == undecayed


@pytest.mark.parametrize("name", ["gcn-5-7", "gcn-10-3"])
def test_the_last_mix_of_gcn_is_frozen_counted_and_has_272_parameters(name):
    torch.manual_seed(1)
    model: Any = build(name, "film", 5).double().eval()
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    assert sum(parameter.numel() for parameter in frozen) == 272
    y, _ = model(noise(2, 256), CONTROLS)
    model.mixes[-1].weight.add_(1.0)
    again, _ = model(noise(2, 256), CONTROLS)
    assert torch.equal(y, again)


@pytest.mark.parametrize("name", ["tcn-5-7", "tcn-10-3", "gcn-5-7", "gcn-10-3", "tcn-100"])
def test_an_impulse_stays_at_its_sample_through_a_network_of_identities(name):
    """The published residual is one sample late per block, so that an impulse smears over the samples that follow."""
    model: Any = build(name, "film", 5).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for convolution in model.convolutions:
            convolution.weight[..., -1] = 1e-3  # the tap of the present instant
        for linear in model.conditioner.maps:
            linear.bias[: len(linear.bias) // 2] = 1.0  # gamma
        for mix in getattr(model, "mixes", ()):
            mix.weight.copy_(torch.eye(16))
        for scale in getattr(model, "residual_scales", ()):
            scale.fill_(1.0)
        model.narrow.weight.fill_(1.0)
        x = torch.zeros(1, 1, 3000, dtype=torch.float64)
        x[..., 1000] = 1.0
        y, _ = model(x, CONTROLS[:1])
        assert y[..., 1000].abs() > 1e-3
        y[..., 1000] = 0
        assert float(y.abs().max()) == 0.0


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("tcn-5-7", 2047), ("tcn-10-3", 2047), ("gcn-5-7", 2047), ("gcn-10-3", 2047), ("tcn-100", 4445),
        ("tcn-300", 13_333), ("tcn-1000", 44_445),
    ],
)  # fmt: skip
def test_receptive_fields_are_the_published_ones(name, samples):
    assert build(name, "film", 4).receptive_field == samples


@pytest.mark.parametrize("conditioning", [TFILM, TTFILM])
def test_unit_gamma_passes_the_features_where_conditioners_say_nothing(conditioning):
    for unit_gamma, passed in ((False, 0.0), (True, 1.0)):
        model: Any = build("s4-4-4", conditioning, 5, unit_gamma=unit_gamma).double()
        for parameter in model.conditioner.parameters():
            torch.nn.init.zeros_(parameter)
        x, features = noise(2, 256), torch.randn(2, 16, 256).double()
        modulate = model.conditioner(x, CONTROLS, model.initial_state(CONTROLS), {})
        assert torch.equal(modulate(0, features), passed * features)


def test_without_its_last_relu_ttfilm_can_turn_features_over():
    for last_relu in (True, False):
        torch.manual_seed(1)
        model: Any = build("s4-4-4", "ttfilm", 5, last_relu=last_relu).double()
        modulate = model.conditioner(noise(2, 256), CONTROLS, model.initial_state(CONTROLS), {})
        assert bool((modulate(0, torch.ones(2, 16, 256).double()) >= 0).all()) == last_relu


def test_unknown_names_list_what_there_is():
    with pytest.raises(UsageError, match=r"no such model, got wavenet \(allowed: lstm-32, "):
        build("wavenet", "film", 4)
    with pytest.raises(UsageError, match=r"ssm-c16-f4 has no such conditioning, got tvfilm \(allowed: film\)"):
        build("ssm-c16-f4", "tvfilm", 4)
    with pytest.raises(UsageError, match=r"no such alignment, got centred \(allowed: delayed, same\)"):
        build("s4-4-4", "tvfilm", 4, alignment="centred")
