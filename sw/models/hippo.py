"""The initial state matrix of an S5: HiPPO-N, the normal part of HiPPO-LegS (arXiv
2208.04933, section 4.2)."""

import torch
from torch import Tensor


def normal_hippo(size: int) -> Tensor:
    """The normal matrix (size, size), HiPPO-LegS plus a rank-one term: -1/2 on the diagonal,
    skew-symmetric beside it."""
    root = torch.sqrt(torch.arange(size, dtype=torch.float64) + 0.5)
    lower = torch.tril(torch.outer(root, root), diagonal=-1)
    return lower.mT - lower - 0.5 * torch.eye(size, dtype=torch.float64)


def diagonal_hippo(modes: int, blocks: int) -> tuple[Tensor, Tensor]:
    """HiPPO-N diagonalised, A = V diag(Lambda) V^H; of each conjugate pair,
    the eigenvalue with the negative imaginary part.

    Args:
        modes: P, which represent 2 P eigenvalues.
        blocks: J, equal blocks on the diagonal of A; divides P.

    Returns:
        Lambda (P,) and V (2 P, P), complex128: B of the diagonal system is V^H B, C is C V.
    """
    half = modes // blocks
    normal = normal_hippo(2 * half)
    skew = normal + 0.5 * torch.eye(2 * half, dtype=torch.float64)
    # A skew-symmetric matrix times -i is Hermitian; `eigh` sorts its eigenvalues,
    # the imaginary parts wanted here.
    imaginary, vectors = torch.linalg.eigh(-1j * skew)
    eigenvalues = torch.complex(torch.full_like(imaginary, -0.5), imaginary)
    diagonal: Tensor = torch.block_diag(*[vectors[:, :half]] * blocks)  # type: ignore[no-untyped-call]
    return eigenvalues[:half].repeat(blocks), diagonal
