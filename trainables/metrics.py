"""Metrics of classifiers: pure functions of predictions and labels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def accuracy(scores: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"]) -> float:
    """Fraction of the examples whose class has the highest score."""
    return (scores.argmax(1) == labels).double().mean().item()


def calibration_error(
    probabilities: Float[Tensor, "examples classes"], labels: Int[Tensor, " examples"], num_bins: int = 15
) -> float:
    """Expected calibration error, in [0, 1]: the mean over examples of their bin's |accuracy - confidence|.

    Source: Guo et al., 2017, arXiv:1706.04599, eq. 3. Bin m of M holds the confidences in ((m - 1) / M, m / M].
    """
    confidence, predicted = probabilities.double().max(1)
    correct = (predicted == labels).double()
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    gaps = (correct - confidence) @ functional.one_hot(bins, num_bins).double()
    return (gaps.abs().sum() / len(labels)).item()


def norm(tensors: list[Tensor]) -> float:
    """Euclidean length of all the tensors taken as one vector."""
    return torch.nn.utils.get_total_norm(tensors).item()
