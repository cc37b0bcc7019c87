"""Layers for sequences, ``(batch, length, width)``: what reads them, mixes their positions, and pools them."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainables.training.layers import Dropout, Linear, Residual

Sequences = Float[Tensor, "batch length width"]


class Tokens(nn.Module):
    """Embeds token numbers, which may come as floats.

    What is no whole number below ``vocabulary`` becomes nan, so that a trial on such data ends as diverged and does not
    learn something else. Embeddings are normal, of length about 1.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, width))

    def draw(self, stream: torch.Generator) -> None:
        self.weight.normal_(std=self.weight.shape[1] ** -0.5, generator=stream)

    def forward(self, tokens: Float[Tensor, "batch length"]) -> Sequences:
        numbers = tokens.long().clamp(0, len(self.weight) - 1)
        return functional.embedding(numbers, self.weight).where((numbers == tokens)[..., None], torch.nan)


class Values(nn.Module):
    """Makes sequences of what is no token: images row by row, vectors value by value."""

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Sequences:
        return inputs[..., None] if inputs.ndim == 2 else inputs.movedim(-2, 1).flatten(2)


class Positions(nn.Module):
    """Adds a learnt vector to each position. They begin normal, of length about 1."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(length, width))

    def draw(self, stream: torch.Generator) -> None:
        self.weight.normal_(std=self.weight.shape[1] ** -0.5, generator=stream)

    def forward(self, values: Sequences) -> Sequences:
        return values + self.weight


class Scores(nn.Module):
    """The logits of attention. A layer of its own, so that a forward hook can watch them."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, queries: Float[Tensor, "*heads n d"], keys: Float[Tensor, "*heads n d"]) -> Tensor:
        scores = queries @ keys.mT / math.sqrt(keys.shape[-1])
        if not self.causal:
            return scores
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        return scores.masked_fill(later, -torch.inf)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017, arXiv:1706.03762, sec. 3.2).

    Queries, keys and values have no bias: one of the keys would change nothing. ``qk_norm`` normalises queries and keys
    of each head (Dehghani et al., 2023, arXiv:2302.05442, sec. 2).
    Written out, since ``scaled_dot_product_attention`` has no rule for ``vmap`` on a CPU.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.project = Linear(width, 3 * width, bias=False)
        norms = [nn.LayerNorm(width // heads, bias=False) if qk_norm else nn.Identity() for _ in range(2)]
        self.query_norm, self.key_norm = norms
        self.scores = Scores(causal=causal)
        self.merge = Linear(width, width)

    def draw(self, stream: torch.Generator) -> None:
        for layer in (self.project, self.merge):  # nothing rectifies what they are given
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=stream)

    def forward(self, values: Sequences) -> Sequences:
        heads = self.project(values).unflatten(-1, (3, self.heads, -1))
        queries, keys, contents = heads.permute(2, 0, 3, 1, 4).unbind(0)
        scores = self.scores(self.query_norm(queries), self.key_norm(keys))
        return self.merge((scores.softmax(-1) @ contents).transpose(-2, -3).flatten(-2))


class Pool(nn.Module):
    """One vector for each sequence: its last one, or the mean."""

    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.last = last

    def forward(self, values: Sequences) -> Float[Tensor, "batch width"]:
        return values[:, -1] if self.last else values.mean(1)


class Transposed(nn.Sequential):
    """Applies its layers along the positions, to each feature alone."""

    def forward(self, input: Sequences) -> Sequences:  # noqa: A002 - the name in torch
        return super().forward(input.mT).mT


def perceptron(width: int, hidden: int, dropout: float) -> list[nn.Module]:
    """Two linear layers with GELU between them."""
    return [Linear(width, hidden), nn.GELU(), Linear(hidden, width), Dropout(dropout)]


def transformer_block(attention: Attention, width: int, hidden: int, dropout: float) -> list[nn.Module]:
    """Attention and a perceptron, each normalised before (Xiong et al., 2020, arXiv:2002.04745) and added."""
    mixed = Residual(nn.LayerNorm(width), attention, Dropout(dropout))
    return [mixed, Residual(nn.LayerNorm(width), *perceptron(width, hidden, dropout))]
