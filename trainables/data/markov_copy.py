"""Sequences of tokens from a Markov chain, some of which repeat what stood a fixed distance before.

Each token is drawn from a distribution that depends on the one before it, a softmax of normal numbers. From position
``distance`` on it is, with probability ``copy``, that of ``distance`` positions before instead. The inputs are all
tokens of a sequence but the last, which is its class: use a model with a ``vocabulary``, and
``split.standardise: false``.
Source: ours; the copies ask for attention, as in the induction tasks of Olsson et al., 2022, arXiv:2209.11895.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from trainables.api import Fraction, NonNegative, NonNegativeInt, PositiveInt
from trainables.data import Examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    vocabulary: Annotated[int, Ge(2)] = 32
    """Different tokens."""
    length: Annotated[int, Ge(2)] = 24
    """Tokens of a sequence, with the last one."""
    distance: PositiveInt = 8
    """How far before the copied token stands."""
    copy: Fraction = 0.5
    """Probability of a copy."""
    sharpness: NonNegative = 2.0
    """Deviation of the logits of the chain. 0: all tokens are as likely."""
    num_examples: PositiveInt = 1024
    """Sequences."""
    seed: NonNegativeInt = 0
    """Of the generator."""

    def load(self) -> Examples:
        import numpy as np

        rng = np.random.default_rng(self.seed)
        logits = self.sharpness * rng.standard_normal((self.vocabulary, self.vocabulary))
        weights = np.exp(logits - logits.max(1, keepdims=True))
        upper = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        tokens = np.empty((self.num_examples, self.length), np.int64)
        tokens[:, 0] = rng.integers(self.vocabulary, size=self.num_examples)
        for place in range(1, self.length):
            drawn = rng.random((self.num_examples, 1)) > upper[tokens[:, place - 1]]
            tokens[:, place] = drawn.sum(1).clip(max=self.vocabulary - 1)
            if place >= self.distance:
                copied = rng.random(self.num_examples) < self.copy
                tokens[copied, place] = tokens[copied, place - self.distance]
        names = tuple(str(token) for token in range(self.vocabulary))
        return Examples(tokens[:, :-1].astype("float32"), tokens[:, -1], names)
