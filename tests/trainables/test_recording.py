"""A function that is played does what it did when it was written down, with whatever tensors it is given."""

from __future__ import annotations

import pytest
import torch
from torch.func import vmap
from torch.nn import functional

from trainables.training.recording import Recorded


class Counted:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


def gradient(weight, statistics, own):
    """Of the losses of several members, with running statistics that are changed on the way."""

    def loss(weight, mean, variance, inputs, labels):
        made = functional.batch_norm(inputs @ weight, mean, variance, training=True)
        return functional.cross_entropy(made, labels)

    with torch.enable_grad():
        leaf = weight.detach().requires_grad_()
        losses = vmap(loss)(leaf, statistics["mean"], statistics["variance"], *own)
        return torch.autograd.grad(losses.sum(), leaf)[0], {"loss": losses.detach()}


def arguments(seed, members=4):
    torch.manual_seed(seed)
    weight = torch.randn(members, 5, 3)
    statistics = {"mean": torch.zeros(members, 3), "variance": torch.ones(members, 3)}
    return weight, statistics, (torch.randn(members, 8, 5), torch.randint(3, (members, 8)))


def test_playing_gives_the_same_to_the_bit_and_changes_the_same():
    counted = Counted(gradient)
    recorded = Recorded(counted)
    for seed in range(4):
        given, again = arguments(seed), arguments(seed)
        (made, more), (expected, known) = recorded(*given), gradient(*again)
        assert torch.equal(made, expected)
        assert torch.equal(more["loss"], known["loss"])
        assert torch.equal(given[1]["mean"], again[1]["mean"])
        assert given[1]["mean"].any()
        assert not made.requires_grad
    assert counted.calls == 1


def test_each_form_has_its_own_tape():
    counted = Counted(gradient)
    recorded = Recorded(counted)
    for members in (1, 2, 3, 4, 5, 6, 6, 5, 1):
        assert torch.equal(recorded(*arguments(0, members))[0], gradient(*arguments(0, members))[0])
    assert 6 < counted.calls < 9


def strided(x):
    return (x.T.contiguous() * 2).view(-1)


def test_strides_are_part_of_the_form():
    recorded = Recorded(strided)
    x = torch.arange(6.0).view(2, 3)
    for given in (x, x.T.contiguous().T, x):
        assert torch.equal(recorded(given), strided(given))


def branch(x):
    return x + 1 if x.sum().item() > 0 else x - 1


def selected(x):
    return x[x > 0]


def reshaped_in_place(x):
    y = (x * 2).unsqueeze(0)
    wide = y + 1
    y.squeeze_(0)
    return wide + y.unsqueeze(0), y.t_()


def resized(x):
    return torch.empty(0).resize_(x.shape).copy_(x) + 1


@pytest.mark.parametrize("function", [branch, selected, reshaped_in_place, resized])
def test_what_cannot_be_played_as_it_was_is_right_all_the_same(function):
    recorded = Recorded(function)
    for x in (torch.ones(2, 3), -torch.ones(2, 3), torch.tensor([[1.0, -1, 2], [-3, 4, 5]])):
        made, expected = recorded(x), function(x)
        pairs = zip(made, expected, strict=True) if isinstance(made, tuple) else [(made, expected)]
        assert all(torch.equal(one, other) for one, other in pairs)


def test_an_argument_that_is_handed_on_is_that_argument():
    recorded = Recorded(lambda x, y: (x, y.add_(1)))
    for _ in range(2):
        x, y = torch.ones(2), torch.ones(2)
        made = recorded(x, y)
        assert (made[0] is x, made[1] is y) == (True, True)
        assert y.tolist() == [2, 2]


def test_global_random_numbers_are_drawn_anew():
    recorded = Recorded(lambda x: x + torch.rand(3))
    assert not torch.equal(recorded(torch.zeros(3)), recorded(torch.zeros(3)))


def test_tensors_from_elsewhere_stay_what_they_are():
    outside = torch.tensor([1.0, 2.0])
    recorded = Recorded(lambda x: x * outside + torch.tensor(3.0))
    assert [recorded(torch.full((2,), float(n))).tolist() for n in range(3)] == [[3, 3], [4, 5], [5, 7]]
