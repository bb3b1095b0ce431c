"""Embedding, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Embedding, Node
from ssm_hdl.sw.qat.store import codes_of


def forward(node: Node, x: Tensor, latent: Tensor) -> Tensor:
    """y = W[x], x (..., n) codes, y (..., n * M); the tokens have no gradient,
    the latent codes (V, M) of the table do."""
    assert isinstance(node.op, Embedding)
    rows = codes_of(latent, node.op.weight.format)[x.long().clamp(max=len(latent) - 1)]
    return rows.flatten(-2)
