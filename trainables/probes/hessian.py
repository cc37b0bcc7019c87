"""The ends of a Hessian's spectrum, by Lanczos iteration on products of the Hessian with vectors.

Source: Lanczos, 1950, with full reorthogonalisation (Golub and Van Loan, Matrix Computations, 4th ed., sec. 10.3);
products by double backpropagation (Pearlmutter, 1994).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Vectors = Float[Tensor, "members parameters"]
_EXHAUSTED = 1e-5  # relative length of a remainder that is rounding, as the products are in float32


def extreme_eigenvalues(
    product: Callable[[Vectors], Vectors], start: Vectors, rounds: int = 40
) -> tuple[Float[Tensor, " members"], Float[Tensor, " members"]]:
    """The smallest and the largest eigenvalue of each member's symmetric matrix, from inside the spectrum.

    Args:
        product: multiplies the matrix of each member by a vector.
        start: random vectors, not 0.
        rounds: products. Ends that stand apart from the rest are found in few; as many rounds as parameters find all.
    """
    basis, diagonal, beside = [_unit(start.double())], [], []
    for number in range(min(rounds, start.shape[1])):
        image = product(basis[-1].to(start.dtype)).double()
        diagonal.append((image * basis[-1]).sum(1))
        remainder = _without(_without(image, basis), basis)  # twice is enough to be orthogonal
        length = torch.linalg.vector_norm(remainder, dim=1)
        alive = length > _EXHAUSTED * torch.linalg.vector_norm(image, dim=1)
        if number and not basis[-1].any():
            break
        basis.append(torch.where(alive[:, None], _unit(remainder), 0.0))
        beside.append(torch.where(alive, length, 0.0))
    return _ends(_filled(torch.stack(diagonal, 1), torch.stack(basis, 1)), torch.stack(beside, 1))


def _unit(vectors: Vectors) -> Vectors:
    return torch.nn.functional.normalize(vectors, dim=1, eps=1e-300)


def _without(vectors: Vectors, basis: list[Vectors]) -> Vectors:
    """What is orthogonal to the basis."""
    known = torch.stack(basis, 1)
    return vectors - torch.einsum("mk,mkp->mp", torch.einsum("mkp,mp->mk", known, vectors), known)


def _filled(diagonal: Tensor, basis: Float[Tensor, "members rounds parameters"]) -> Tensor:
    """With the first entry where a member had no vector left: it lies between the ends, so that it moves neither."""
    used = basis[:, : diagonal.shape[1]].any(2)
    return torch.where(used, diagonal, diagonal[:, :1])


def _ends(diagonal: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    off = beside[:, : diagonal.shape[1] - 1]
    tridiagonal = torch.diag_embed(diagonal) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    values = torch.linalg.eigvalsh(tridiagonal)
    return values[:, 0], values[:, -1]
