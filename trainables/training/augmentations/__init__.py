"""What training batches go through, one file each: ``augmentation: {name: noise, deviation: 0.1}`` picks ``noise.py``.

A component module has a ``Config`` that satisfies ``AugmentationConfig`` or ``HiddenAugmentationConfig``. It imports
torch where it computes, so that checking a sweep stays quick. Its methods are written for one member of a cohort:
fields marked ``PerMember`` are then tensors, and random numbers come from ``trainables.training.draws``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from trainables.training.draws import Draw
    from trainables.training.hidden import Change
    from trainables.training.losses import Targets


class AugmentationConfig(Protocol):
    """What an augmentation component's ``Config`` can do."""

    mixes: ClassVar[bool]
    """Whether it mixes targets. They are then the probabilities of all classes."""

    def apply(
        self, inputs: Float[Tensor, "batch ..."], targets: Targets, draw: Draw
    ) -> tuple[Float[Tensor, "batch ..."], Targets]:
        """The batch that is trained on. ``inputs`` are standardised if the split says so."""
        ...


@runtime_checkable
class HiddenAugmentationConfig(Protocol):
    """What an augmentation component's ``Config`` can do that changes layers (``trainables.training.hidden``)."""

    mixes: ClassVar[bool]
    """Whether it mixes targets. They are then the probabilities of all classes."""

    def within(
        self, inputs: Float[Tensor, "batch ..."], targets: Targets, draw: Draw, num_layers: int
    ) -> tuple[Change, Targets]:
        """What changes the layers of a network that has so many, from the inputs on, and the targets.

        Raises:
            ValueError: the network has too few.
        """
        ...


def beta(draw: Draw, alpha: float | Tensor, like: Float[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """Draws from the symmetric beta distribution of ``alpha``, one for each row; 1 if ``alpha`` is 0.

    Without rejection: ``(1 + t / sqrt(2 alpha + t^2)) / 2``, where ``t`` is Student's with ``2 alpha`` degrees of
    freedom and drawn as in Bailey, 1994, doi:10.1090/S0025-5718-1994-1219702-8.
    """
    import torch

    power = torch.as_tensor(alpha, dtype=torch.float64, device=like.device)
    share = (1 - draw.uniform(like).double()) ** (1 / power.clamp(min=1e-6))
    cosine = torch.cos(2 * torch.pi * draw.uniform(like).double())
    sine = cosine * (1 - share).sqrt() / (share + cosine**2 * (1 - share)).sqrt()
    return torch.where(power > 0, (1 + sine) / 2, 1.0).to(like.dtype)


def blended(
    values: Float[Tensor, "batch ..."], share: Float[Tensor, " batch"], other: Int[Tensor, " batch"]
) -> Float[Tensor, "batch ..."]:
    """A share of each row, and the rest from the row ``other``."""
    wide = share.view(-1, *[1] * (values.ndim - 1)).to(values.dtype)
    return wide * values + (1 - wide) * values[other]


def sides(name: str, inputs: Float[Tensor, "batch ..."]) -> tuple[int, int]:
    """Height and width of images. Raises ValueError if the inputs are none."""
    if inputs.ndim != 4:
        shape = tuple(inputs.shape[1:])
        raise ValueError(f"augmentation {name}: got inputs of shape {shape}, expected images (channels, height, width)")
    return inputs.shape[2], inputs.shape[3]


def square(
    draw: Draw, side: float | Tensor, inputs: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch 1 height width"]:
    """Ones where the middle of a pixel lies in a rectangle, one for each image, and zeros elsewhere.

    ``side`` is that of the rectangle as a fraction of the image's, the same or one for each. Its middle is anywhere in
    the image, and what is outside is cut off.
    """
    import torch

    first, inside = inputs[:, 0, 0, 0], []
    side = torch.as_tensor(side, dtype=inputs.dtype, device=inputs.device)
    for length in inputs.shape[2:]:
        middles = (torch.arange(length, dtype=inputs.dtype, device=inputs.device) + 0.5) / length
        inside.append((middles - draw.uniform(first)[:, None]).abs() < side[..., None] / 2)
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None].to(inputs.dtype)
