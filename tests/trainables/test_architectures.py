"""What the model components compute: sizes, symmetries, closed forms and what they refuse."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from fake_trial import FakeTrial
from tiny import TOLERANCE, gap, train
from tiny import config as tiny_config
from torch import nn
from torch.nn import functional

from trainables.api import Diverged
from trainables.config import check
from trainables.data import Examples
from trainables.models import cnn, mixer, mlp, quadratic, random_features, resnet, transformer, two_layer, vit
from trainables.training.layers import BatchNorm1d, BatchNorm2d, Residual, StochasticDepth, give_streams
from trainables.training.patches import Patches
from trainables.training.sequences import Scores, Tokens

IMAGE = (1, 8, 8)


def build(config, shape=IMAGE, num_classes=10, seed=0):
    return config.build(shape, num_classes, torch.Generator().manual_seed(seed))


def randn(*size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def num_parameters(config, *shape_and_classes):
    return sum(p.numel() for p in build(config, *shape_and_classes).parameters())


# --- residual networks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "num_classes", "published"), [((3, 224, 224), 1000, 11_689_512), ((3, 32, 32), 10, 11_173_962)]
)
def test_resnet_18_has_its_published_size(shape, num_classes, published):
    assert num_parameters(resnet.Config(width=64, stages=4, blocks=2), shape, num_classes) == published


def test_resnet_110_has_its_published_depth():
    model = build(resnet.Config(width=2, stages=3, blocks=18), (3, 32, 32))
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 110 + 2  # with the projections of the shortcuts


@pytest.mark.parametrize("size", [8, 9, 32, 64, 96, 224])
def test_resnet_takes_images_of_many_sizes(size):
    shape = (3, size, size + 1)
    assert build(resnet.Config(width=2, stages=4), shape)(torch.randn(2, *shape)).shape == (2, 10)


def test_images_are_halved_by_stages_and_by_the_stem_of_large_ones():
    for size, expected in ((32, 4), (96, 3), (224, 7)):
        model = build(resnet.Config(width=2, stages=4), (3, size, size))
        assert isinstance(model, nn.Sequential)
        assert model[:-3](torch.randn(2, 3, size, size)).shape[-2:] == (expected, expected)


def test_deeper_blocks_are_passed_by_more_often():
    """In proportion to their number, counted from 1; the stem always takes part."""
    model = build(resnet.Config(width=2, stages=2, blocks=2, stochastic_depth=0.4))
    rates = [layer.rate.item() for layer in model.modules() if isinstance(layer, StochasticDepth)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_an_example_that_passes_by_a_block_goes_through_its_shortcut_alone():
    block = build(resnet.Config(width=2, stages=1, stochastic_depth=0.5))[3]
    give_streams(block, 0)
    values = randn(64, 2, 4, 4)
    made = block(values)
    passed = torch.tensor([torch.equal(one, other) for one, other in zip(made, values, strict=True)])
    assert 16 < passed.sum() < 48
    torch.testing.assert_close(block.eval()(values), values + block.body(values))


def test_a_residual_adds_its_input():
    values = randn(3, 4)
    assert torch.equal(Residual(nn.Tanh())(values), values + values.tanh())
    assert torch.equal(Residual(nn.Tanh(), shortcut=nn.ReLU())(values), values.relu() + values.tanh())


def test_residual_perceptrons_with_dead_layers_pass_on_what_they_get():
    model = build(mlp.Config(depth=4, residual=True), (64,))
    dead, short = dict(model.named_parameters()), build(mlp.Config(depth=1), (64,))
    for key, parameter in dead.items():
        parameter.data *= 0 if "body" in key else 1
    with torch.no_grad():
        for parameter, key in zip(short.parameters(), ("1.weight", "1.bias", "7.weight", "7.bias"), strict=True):
            parameter.copy_(dead[key])
    assert torch.equal(model(randn(5, 64)), short(randn(5, 64)))


# --- normalisation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [mlp.Config(normalisation="batch"), mlp.Config(normalisation="layer")])
def test_normalised_perceptrons_do_not_see_the_scale_of_their_weights(config):
    model, other = build(config), build(config)
    with torch.no_grad():
        for layer in other[:-1].modules():
            if isinstance(layer, nn.Linear):
                layer.weight *= 7
    inputs = randn(32, *IMAGE)
    torch.testing.assert_close(model(inputs), other(inputs), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("norm", "size"), [(BatchNorm1d, (4,)), (BatchNorm2d, (4, 1, 1))])
@pytest.mark.parametrize("num_rows", [0, 1])
def test_a_lone_row_is_normalised_as_at_rest(norm, size, num_rows):
    layer = norm(4)
    layer(3 + 2 * randn(50, *size))
    before, values = {k: v.clone() for k, v in layer.state_dict().items()}, randn(num_rows, *size)
    assert torch.equal(layer(values), layer.eval()(values))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_two_rows_are_normalised_as_in_torch():
    ours, torchs, values = BatchNorm1d(4), nn.BatchNorm1d(4), randn(2, 4)
    assert torch.equal(ours(values), torchs(values))
    assert torch.equal(ours.running_var, torchs.running_var)


# --- patches ----------------------------------------------------------------------------------------------------------


def test_patches_are_cut_row_by_row():
    images = randn(2, 3, 6, 4)
    assert torch.equal(Patches.of((3, 6, 4), 2, "vit")(images), functional.unfold(images, 2, stride=2).mT)


@pytest.mark.parametrize("config", [vit.Config(patch=3), mixer.Config(patch=3)])
def test_patches_that_do_not_fit_are_refused(config):
    with pytest.raises(ValueError, match="got patch 3, expected a patch that divides the 8 x 8 pixels"):
        build(config)
    with pytest.raises(ValueError, match=re.escape("got inputs of shape (30,), expected images")):
        build(config, (30,))


@pytest.mark.parametrize("shape", [(30,), (1, 4, 8)])
def test_resnet_refuses_what_is_no_image(shape):
    with pytest.raises(ValueError, match=r"model resnet: got inputs of shape .* expected images .* at least 8 x 8"):
        build(resnet.Config(), shape)


def transformer_size(width, hidden):
    """Of a block: two normalisations, attention, perceptron."""
    return 4 * width + 3 * width**2 + (width + 1) * width + (width + 1) * hidden + (hidden + 1) * width


def test_sizes_of_attention_and_mixer_have_their_closed_form():
    d, patches = 6, 16
    read, head = 4 * d + d + patches * d, 2 * d + 11 * d - d + 10
    config = vit.Config(width=d, depth=1, heads=1, patch=2)
    assert num_parameters(config) == read + transformer_size(d, 2 * d) + head == 544
    along = (patches + 1) * 32 + 33 * patches, (d + 1) * 64 + 65 * d
    assert num_parameters(mixer.Config(width=d, depth=3)) == 5 * d + 3 * (4 * d + sum(along)) + head
    words = transformer.Config(vocabulary=31, width=64, heads=4, depth=2)
    assert num_parameters(words, (2,), 31) == (31 + 2) * 64 + 2 * transformer_size(64, 256) + 2 * 64 + 65 * 31


@pytest.mark.parametrize(
    "config", [mlp.Config(width=8, depth=2), cnn.Config(width=4), vit.Config(width=6, heads=1, depth=1)]
)
def test_a_few_hundred_parameters_are_enough(config):
    assert 500 < num_parameters(config) < 700


@pytest.mark.parametrize("module", [vit, transformer])
def test_heads_divide_the_width(module):
    (problem,) = check(module.Config, {"width": 32, "heads": 3})
    assert "width 32 must be a multiple of heads 3" in problem.expected + problem.what


# --- sequences --------------------------------------------------------------------------------------------------------


def tokens(*size, vocabulary=7, seed=0):
    return torch.randint(vocabulary, size, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("position", [0, 3, 7])
def test_what_is_causal_does_not_see_what_comes_later(position):
    model = transformer.Config(vocabulary=7, causal=True).build_each((8,), 7, torch.Generator().manual_seed(0))
    first = tokens(3, 8)
    changed = first.clone()
    changed[:, position] = (changed[:, position] + 1) % 7
    differs = (model(first) != model(changed)).any(-1).any(0)
    assert differs.tolist() == [later >= position for later in range(8)]


def test_without_a_mask_every_position_is_seen():
    model = transformer.Config(vocabulary=7).build_each((8,), 7, torch.Generator().manual_seed(0))
    first, changed = tokens(3, 8), tokens(3, 8)
    changed[:, 7] = (changed[:, 7] + 1) % 7
    assert (model(first) != model(changed)).any(-1).all()


def test_the_last_position_is_what_a_causal_transformer_classifies():
    config = transformer.Config(vocabulary=7, causal=True)
    each = config.build_each((8,), 5, torch.Generator().manual_seed(0))
    assert torch.equal(build(config, (8,), 5)(tokens(3, 8)), each(tokens(3, 8))[:, -1])


def test_attention_logits_are_bounded_by_qk_norm_and_can_be_watched():
    """Normalised vectors of d numbers have length sqrt(d), so that logits are below sqrt(d) whatever the weights."""

    def largest(scale, **settings):
        model, seen = build(transformer.Config(vocabulary=7, **settings), (8,)), []
        for module in model.modules():
            if isinstance(module, Scores):
                module.register_forward_hook(lambda *call: seen.append(call[-1].max().item()))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.mul_(scale if "project" in name else 1)
        model(tokens(3, 8))
        assert len(seen) == 2
        return max(seen)

    assert largest(100) > 100 * math.sqrt(16)
    assert largest(100, qk_norm=True) <= math.sqrt(16) * (1 + 1e-5)


def test_images_are_read_by_rows_and_vectors_by_values():
    assert build(transformer.Config(), (3, 8, 5))[1].in_features == 15
    assert build(transformer.Config(), (13,))[1].in_features == 1
    assert build(transformer.Config(), (13,))(randn(2, 13)).shape == (2, 10)


@pytest.mark.parametrize("wrong", [-1.0, 7.0, 2.5, math.nan])
def test_what_is_no_token_spoils_its_own_embedding_and_no_other(wrong):
    layer = Tokens(7, 4)
    with torch.no_grad():
        layer.draw(torch.Generator().manual_seed(0))
    made = layer(torch.tensor([[1.0, wrong]]))
    assert torch.equal(made[0, 0], layer.weight[1])
    assert made[0, 1].isnan().all()


def test_images_are_no_tokens():
    with pytest.raises(ValueError, match=re.escape("got inputs of shape (1, 8, 8), expected (length,)")):
        build(transformer.Config(vocabulary=5))


@dataclass(frozen=True)
class Sums:
    """Pairs of numbers below 9, and their sum modulo 9."""

    def load(self):
        pairs = np.array([(a, b) for a in range(9) for b in range(9)] * 2)
        return Examples(pairs.astype(np.float32), pairs.sum(1) % 9, tuple("abcdefghi"))


def of_sums(model, seed=0, **split):
    config = tiny_config(model={"vocabulary": 9, **model}, epochs=3, optimizer={"name": "sgd", "lr": 0.1 / (1 + seed)})
    return replace(config, data=Sums(), split=replace(config.split, **({"standardise": False} | split)))


@pytest.mark.parametrize("model", [{"name": "transformer", "causal": True}, {"name": "mlp", "embedding": 8}])
def test_tokens_alone_and_in_cohorts(model):
    together = [FakeTrial(seed=seed) for seed in range(3)]
    train([of_sums(model, seed) for seed in range(3)], together)
    for seed, trial in enumerate(together):
        alone = FakeTrial(seed=seed)
        (reports,) = train([of_sums(model, seed)], [alone])
        assert gap(trial, alone) < TOLERANCE
        assert reports[-1]["loss/train"] < reports[0]["loss/train"]


def test_standardised_tokens_end_the_trial():
    with pytest.raises(Diverged):
        train([of_sums({"name": "transformer"}, standardise=True)], [FakeTrial()])


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [50, 5000])
def test_random_features_have_the_length_of_the_inputs(width):
    model, inputs = build(random_features.Config(width=width), (400,)), randn(20, 400)
    features = model[:-1](inputs)
    assert features.square().sum(1).mean().item() == pytest.approx(1, rel=3 / math.sqrt(width))


def test_only_the_head_of_random_features_is_trained():
    assert num_parameters(random_features.Config(width=300)) == 301 * 10


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fixed_head_of_two_classes_is_logistic_loss(sign):
    """log(1 + exp(-y f)) with f = sum of +-relu(w x) / sqrt(m)."""
    model, inputs = build(two_layer.Config(width=50, head="fixed", bias=False), (6,), 2), randn(9, 6)
    head, weight = model[-1].weight, model[1].weight
    f = inputs.matmul(weight.mT).relu() @ (2 * head[1])
    assert (2 * head[1]).abs().unique().tolist() == pytest.approx([1 / math.sqrt(50)])
    losses = functional.cross_entropy(model(inputs), torch.full((9,), int(sign > 0)), reduction="none")
    torch.testing.assert_close(losses, functional.softplus(-sign * f))


def test_sizes_of_two_layers():
    assert num_parameters(two_layer.Config(width=7), (30,), 4) == 31 * 7 + 8 * 4
    assert num_parameters(two_layer.Config(width=7, bias=False), (30,), 4) == 30 * 7 + 7 * 4
    assert num_parameters(two_layer.Config(width=7, bias=False, head="fixed"), (30,), 4) == 30 * 7


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_quadratic_layers_are_homogeneous(depth):
    """Without biases, logits grow with the inputs to the power 2^depth; the square root of 3 keeps their size."""
    model = build(quadratic.Config(width=256, depth=depth), (256,)).double()
    inputs = randn(64, 256, seed=1).double()
    torch.testing.assert_close(model(1.5 * inputs), 1.5**2**depth * model(inputs))
    assert 0.2 < model(inputs).std() < 5
