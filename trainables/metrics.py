"""Metrics of classifiers: pure functions of the predictions and labels of one member."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def accuracy(scores: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"]) -> Float[Tensor, ""]:
    """Fraction of the examples whose class has the highest score."""
    return (scores.argmax(1) == labels).double().mean()


def cross_entropy(scores: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"]) -> Float[Tensor, ""]:
    """Mean over the examples of the negative log probability of their class, in nats."""
    return -scores.log_softmax(1).gather(1, labels[:, None]).mean()


def calibration_error(
    probabilities: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"], num_bins: int = 15
) -> Float[Tensor, ""]:
    """Expected calibration error, in [0, 1]: the mean over examples of their bin's |accuracy - confidence|.

    Source: Guo et al., 2017, arXiv:1706.04599, eq. 3. Bin m of M holds the confidences in ((m - 1) / M, m / M].
    """
    confidence, predicted = probabilities.double().max(1)
    correct = (predicted == labels).double()
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    gaps = (correct - confidence) @ functional.one_hot(bins, num_bins).double()
    return gaps.abs().sum() / len(labels)


def temperature(scores: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"]) -> Float[Tensor, ""]:
    """What logits are divided by for the least cross-entropy, between 1 / 20 and 20, to five digits.

    Source: Guo et al., 2017, arXiv:1706.04599, sec. 4.2. Fit it on validation examples. The cross-entropy is convex in
    the inverse of the temperature, so halving an interval by the sign of its slope finds the minimum.
    """
    own = scores.gather(1, labels[:, None]).squeeze(1)
    low = scores.new_full((), -math.log(20))
    high = -low
    for _ in range(20):
        middle = (low + high) / 2
        expected = (scores * (scores * middle.exp()).softmax(1)).sum(1)
        falls = (expected - own).mean() < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return (-(low + high) / 2).exp()
