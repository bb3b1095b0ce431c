"""A manifest as a torch module: the integer program itself, with gradients for its weights and biases."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Format
from ssm_hdl.operations import Dense, Embedding, Node, Norm, Scan, Tensors
from ssm_hdl.sw.qat.add import add
from ssm_hdl.sw.qat.dense import bias, dense, weights
from ssm_hdl.sw.qat.embedding import embedding
from ssm_hdl.sw.qat.lookup import lookup
from ssm_hdl.sw.qat.multiply import multiply
from ssm_hdl.sw.qat.norm import norm
from ssm_hdl.sw.qat.pool import pool
from ssm_hdl.sw.qat.scan import Bank, scan, states
from ssm_hdl.sw.qat.slice import slice_
from ssm_hdl.sw.qat.store import codes_of, store

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "lookup": lookup,
    "multiply": multiply,
    "add": add,
    "slice": slice_,
    "pool": pool,
    "norm": norm,
}
"""The operations without weights."""

MAX_EXACT = 51
"""Widest sum, in bits, that float64 holds with a rounding offset on top."""


class QatModel(nn.Module):
    """The integer program of a manifest, on codes in float64, which holds them exactly.

    Weights and biases of every dense are latent codes: rounded and saturated on the way forward, trained straight through.
    Formats, exponents and the transition stay: the paper on small S4Ds found a frozen Abar to be best (arXiv 2506.12480).

    Args:
        manifest: the integer program to start from.

    Raises:
        SsmHdlError: a sum is wider than float64 holds.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        self.start = manifest
        self.latents = nn.ParameterDict()
        self.banks: dict[str, Bank] = {}  # by the name of the scan, or of the dense that it goes together with
        for node in manifest.nodes.values():
            if node.accumulator.width > MAX_EXACT and not isinstance(node.op, Norm):
                raise SsmHdlError(f"{node.name}: sums of {node.accumulator.width} bits; training takes at most {MAX_EXACT}")
            if isinstance(node.op, Scan):
                bank, readers = Bank(node), manifest.consumers(node.name)
                alone = node.inputs[0].is_complex or len(readers) > 1 or not bank.reads(manifest.nodes[readers[0]])
                self.banks[node.name if alone else readers[0]] = bank
            if isinstance(node.op, Embedding):
                self._add_latent(node.op.weight.tensor, node.arrays["code"])
            if isinstance(node.op, Dense):
                self._add_latent(node.op.weight.tensor, node.arrays["code"])
                if node.op.bias is not None:
                    stored = manifest.tensors.get(node.name, node.op.bias.tensor, node.op.bias.format, (1,))
                    self._add_latent(node.op.bias.tensor, stored)

    def _add_latent(self, name: str, codes: NDArray[np.int64]) -> None:
        if _key(name) in self.latents:
            raise SsmHdlError(f"two operations share the tensor {name!r}; training takes one each")
        self.latents[_key(name)] = nn.Parameter(torch.from_numpy(codes).double())

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (float64) of the output edge, of input codes (B, steps, size) float64."""
        edges = {self.start.input.name: codes}
        for node in self.start.nodes.values():
            if isinstance(node.op, Dense):
                edges[node.name] = self._dense(node, edges)
            elif isinstance(node.op, Embedding):
                edges[node.name] = embedding(node, edges[node.op.input], self.latents[_key(node.op.weight.tensor)])
            elif isinstance(node.op, Scan):
                if node.name in self.banks:
                    edges[node.name] = states(self.banks[node.name], edges[node.op.input])
            else:
                edges[node.name] = FUNCTIONS[node.op.op](node, *(edges[source] for source in node.op.sources))
        return edges[self.start.graph.output]

    def _dense(self, node: Node, edges: dict[str, Tensor]) -> Tensor:
        assert isinstance(node.op, Dense)
        weight = weights(node, self.latents[_key(node.op.weight.tensor)])
        offset = bias(node, self.latents[_key(node.op.bias.tensor)] if node.op.bias is not None else None)
        if node.name in self.banks:  # the scan is done here
            u = self.start.nodes[node.op.sources[0]].op.sources[0]
            sums = scan(self.banks[node.name], edges[u], weight)
            return store(sums + offset, node.accumulator.f_bits, node.output.format)
        return dense(node, edges[node.op.sources[0]], weight, offset)

    def manifest(self) -> Manifest:
        """The integer program as it is now."""
        tensors = dict(self.start.tensors.codes)
        formats = self.start.tensors.formats | self._formats()
        for name, format in self._formats().items():
            trained = codes_of(self.latents[_key(name)].detach(), format).long().numpy()
            tensors[name] = trained.reshape(tensors[name].shape)
        return Manifest(self.start.graph, Tensors(tensors, formats))

    def _formats(self) -> dict[str, Format]:
        trained = [node.op for node in self.start.nodes.values() if isinstance(node.op, Dense | Embedding)]
        stored = [op.weight for op in trained] + [op.bias for op in trained if isinstance(op, Dense) and op.bias is not None]
        return {tensor.tensor: tensor.format for tensor in stored}


def _key(name: str) -> str:
    """A tensor's name where torch allows no dots."""
    return name.replace(".", "/")


@torch.no_grad()
def outputs(model: QatModel, codes: NDArray[np.integer], progress: Callable[[int], None] | None = None) -> NDArray[np.int64]:
    """What `ssm_hdl.sim.golden.run` puts out, faster; codes (n, steps, size)."""
    results = []
    for start in range(0, len(codes), 250):
        batch = model.start.check_samples(codes[start : start + 250])
        results.append(model(torch.from_numpy(batch).double()).long().numpy())
        if progress is not None:
            progress(len(batch))
    return np.concatenate(results)
