"""Every augmentation: what it keeps, what it changes, and how often."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from trainables.config import Component
from trainables.training import draws
from trainables.training.augmentations import (
    HiddenAugmentationConfig,
    beta,
    cutmix,
    cutout,
    manifold_mixup,
    mixup,
    shift_and_flip,
)

AUGMENTATIONS = Component("trainables.training.augmentations")
OWN = {"manifold_mixup": {"last": 0}}  # at the inputs, which is what is looked at
IMAGES_ONLY = ("cutmix", "cutout", "shift_and_flip")
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(512, 2, 8, 8, generator=GENERATOR) + 1  # nothing is 0
TARGETS = torch.nn.functional.one_hot(torch.arange(512) % 4, 4).float()


def draw(seed=0, first_row=0):
    return draws.Draw(draws.key_of(seed, "augmentation"), torch.tensor(3), first_row)


def component(name):
    return AUGMENTATIONS.config(name)(**OWN.get(name, {}))


def apply(config, inputs=IMAGES, targets=TARGETS, seed=0):
    if not isinstance(config, HiddenAugmentationConfig):
        return config.apply(inputs, targets, draw(seed))
    change, targets = config.within(inputs, targets, draw(seed), 1)
    return change(0, inputs), targets


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_shapes_stay_and_targets_stay_probabilities(name):
    for shape in ((16, 1, 8, 8), (3, 3, 9, 14), *(() if name in IMAGES_ONLY else ((16, 30),))):
        inputs, targets = apply(component(name), torch.rand(shape), TARGETS[: shape[0]])
        assert (inputs.shape, inputs.dtype) == (shape, torch.float32)
        assert targets.dtype == torch.float32
        torch.testing.assert_close(targets.sum(1), torch.ones(shape[0]))
        assert (targets >= 0).all()


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_those_that_do_not_mix_take_classes_and_leave_them(name):
    config = component(name)
    if not config.mixes:
        labels = torch.arange(512) % 4
        assert apply(config, targets=labels)[1] is labels


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_every_seed_draws_its_own(name):
    config = component(name)
    first, again, other = (apply(config, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert name == "identity" or not torch.equal(first, other)


@pytest.mark.parametrize("name", IMAGES_ONLY)
def test_what_is_no_image_is_refused(name):
    with pytest.raises(ValueError, match=rf"augmentation {name}: got inputs of shape \(30,\), expected images"):
        apply(AUGMENTATIONS.config(name)(), torch.rand(4, 30), TARGETS[:4])


@pytest.mark.parametrize(
    "config",
    [mixup.Config(alpha=0.0), manifold_mixup.Config(alpha=0.0, last=0), cutmix.Config(alpha=0.0),
     cutmix.Config(probability=0.0), cutout.Config(side=0.0), shift_and_flip.Config(shift=0.0, flip=0.0)],
)  # fmt: skip
def test_at_strength_0_nothing_happens(config):
    inputs, targets = apply(config)
    assert torch.equal(inputs, IMAGES)
    assert torch.equal(targets, TARGETS)


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 4.0])
def test_shares_have_a_beta_distribution(alpha):
    shares = beta(draw(), alpha, torch.zeros(20000, dtype=torch.float64))
    assert ((shares >= 0) & (shares <= 1)).all()
    for place in (1e-6, 1e-3, 0.1, 0.3, 0.5, 0.8, 0.99):
        expected = stats.beta(alpha, alpha).cdf(place)
        assert (shares <= place).double().mean().item() == pytest.approx(expected, abs=0.012), place


def test_mixup_mixes_inputs_and_targets_alike():
    """With inputs that are the targets, both have to come out the same."""
    inputs, targets = apply(mixup.Config(alpha=1.0), TARGETS.clone())
    torch.testing.assert_close(inputs, targets)
    assert 0.2 < (targets.amax(1) < 0.999).float().mean() < 0.9  # a quarter meets its own class
    assert targets.sum(0).div(512).sub(0.25).abs().max() < 0.03


LAYERS = [IMAGES, torch.rand(512, 7, generator=GENERATOR), torch.rand(512, 3, 2, generator=GENERATOR)]


def at_each_layer(config, seed):
    """Which layers are changed, and into what."""
    change, targets = config.within(IMAGES, TARGETS, draw(seed), len(LAYERS))
    made = [change(number, values) for number, values in enumerate(LAYERS)]
    return {n: new for n, (new, old) in enumerate(zip(made, LAYERS, strict=True)) if not torch.equal(new, old)}, targets


def test_manifold_mixup_at_the_inputs_is_mixup_to_the_bit():
    for alpha in (0.3, 2.0):
        ours, plain = apply(manifold_mixup.Config(alpha=alpha, last=0)), apply(mixup.Config(alpha=alpha))
        assert all(torch.equal(*pair) for pair in zip(ours, plain, strict=True))


def test_manifold_mixup_changes_one_layer_of_its_set_and_each_as_often():
    """By the same shares and partners at whatever layer."""
    seen = [at_each_layer(manifold_mixup.Config(), seed) for seed in range(300)]
    assert all(len(changed) == 1 for changed, _ in seen)
    counts = [sum(n in changed for changed, _ in seen) for n in range(3)]
    assert stats.chisquare(counts).pvalue > 1e-3
    later = [at_each_layer(manifold_mixup.Config(first=1), seed)[0] for seed in range(20)]
    assert {n for changed in later for n in changed} == {1, 2}
    (layer, values), targets = next(iter(seen[0][0].items())), seen[0][1]
    whole, by_layer = apply(mixup.Config(alpha=2.0)), apply(mixup.Config(alpha=2.0), LAYERS[layer])
    assert torch.equal(targets, whole[1])
    assert torch.equal(values, by_layer[0])


def test_manifold_mixup_needs_the_layers_that_it_names():
    with pytest.raises(ValueError, match="manifold_mixup: got last 3, expected at most 2"):
        manifold_mixup.Config(last=3).within(IMAGES, TARGETS, draw(), 3)
    with pytest.raises(ValueError, match="expected a network that is a sequence of parts"):
        manifold_mixup.Config(last=0).within(IMAGES, TARGETS, draw(), 0)
    with pytest.raises(ValueError, match="first 3 must be at most last 2"):
        manifold_mixup.Config(first=3)


def test_cutmix_pastes_a_rectangle_and_mixes_targets_by_its_area():
    colours = torch.arange(512.0).view(-1, 1, 1, 1).expand(512, 1, 8, 8)
    targets = torch.eye(512)
    inputs, mixed = apply(cutmix.Config(), colours, targets)
    own = (inputs == colours).float().mean((1, 2, 3))
    for image, target, kept, number in zip(inputs, mixed, own, range(512), strict=True):
        assert target[number] == pytest.approx(kept.item(), abs=1e-6)
        if 0 < kept < 1:
            ys, xs = torch.nonzero(image[0] != number, as_tuple=True)
            area = (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)
            assert area == len(ys)
            assert len(image.unique()) == 2
    assert 0.5 < own.mean() < 0.9


def test_cutmix_cuts_as_many_images_as_it_should():
    never, some = (apply(cutmix.Config(probability=p))[0] for p in (0.0, 0.5))
    changed = (some != never).flatten(1).any(1).float().mean()
    assert changed.item() == pytest.approx(0.5, abs=0.07)


def test_cutout_zeroes_the_area_of_its_square_or_less_at_the_border():
    """The middle is uniform, so that along each side (1 - s / 4) s is expected to be inside."""
    images = torch.ones(4000, 1, 32, 32)
    for side in (0.25, 0.5):
        hidden = (apply(cutout.Config(side=side), images, torch.zeros(4000))[0] == 0).float().mean((1, 2, 3))
        assert hidden.max() == pytest.approx(side**2, rel=0.01)
        assert hidden.mean() == pytest.approx((side * (1 - side / 4)) ** 2, rel=0.03)


def test_shifts_are_whole_pixels_that_lose_what_leaves():
    inputs, _ = apply(shift_and_flip.Config(shift=0.25, flip=0.0))
    padded = torch.nn.functional.pad(IMAGES, (2, 2, 2, 2))
    seen = torch.zeros(5, 5)
    for image, wide in zip(inputs, padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(image, wide[:, y : y + 8, x : x + 8])]
        assert len(found) == 1
        seen[found[0]] += 1
    assert stats.chisquare(seen.flatten().numpy()).pvalue > 1e-3


def test_flips_are_mirrors_of_half_the_images():
    inputs, _ = apply(shift_and_flip.Config(shift=0.0))
    flipped = (inputs == IMAGES.flip(3)).flatten(1).all(1)
    assert ((inputs == IMAGES).flatten(1).all(1) ^ flipped).all()
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("name", ["noise", "cutout", "shift_and_flip"])
def test_workers_draw_for_their_rows_what_one_worker_draws(name):
    config = AUGMENTATIONS.config(name)()
    whole, _ = apply(config)
    part, _ = config.apply(IMAGES[200:], TARGETS[200:], draw(first_row=200))
    assert torch.equal(part, whole[200:])
