"""A manifest as a torch module: the integer program itself,
with gradients for its weights and biases."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.fixed import Format
from ssm_hdl.operations import Node, Norm, Scan, Tensors
from ssm_hdl.sw.qat.dense import bias, weights
from ssm_hdl.sw.qat.scan import Bank, scan, states
from ssm_hdl.sw.qat.store import codes_of, store

MAX_EXACT = 51
"""Widest sum, in bits, that float64 holds with a rounding offset on top."""

EDGE_BYTES = 1 << 30
"""Memory for all edges of a batch in `outputs`."""


class QatModel(nn.Module):
    """The integer program of a manifest, on codes in float64, which holds them exactly.

    Weights and biases of every dense are latent codes: rounded and saturated on the way forward,
    trained straight through. Formats, exponents and the transition stay: the paper on small S4Ds
    found a frozen Abar to be best (arXiv 2506.12480).

    Args:
        manifest: the integer program to start from.

    Raises:
        SsmHdlError: a sum is wider than float64 holds.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        self.start = manifest
        self.latents = nn.ParameterDict()
        # by the name of the scan, or of the dense that it goes together with
        self.banks: dict[str, Bank] = {}
        for node in manifest.nodes.values():
            width = max(
                node.accumulator.width * (not isinstance(node.op, Norm)), node.output.format.width
            )
            if width > MAX_EXACT:
                raise SsmHdlError(
                    f"{node.name}: sums of {width} bits; training takes at most {MAX_EXACT}"
                )
            if isinstance(node.op, Scan):
                bank, readers = Bank(node), manifest.consumers(node.name)
                alone = (
                    node.inputs[0].is_complex
                    or len(readers) > 1
                    or not bank.reads(manifest.nodes[readers[0]])
                )
                self.banks[node.name if alone else readers[0]] = bank
            for tensor in node.op.trained:
                codes = manifest.tensors.codes[tensor.tensor]
                self._add_latent(
                    tensor.tensor,
                    manifest.tensors.get(node.name, tensor.tensor, tensor.format, (codes.ndim,)),
                )

    def _add_latent(self, name: str, codes: NDArray[np.int64]) -> None:
        if _key(name) in self.latents:
            raise SsmHdlError(f"two operations share the tensor {name!r}; training takes one each")
        self.latents[_key(name)] = nn.Parameter(torch.from_numpy(codes).double())

    def forward(self, codes: Tensor, lengths: NDArray[np.int64] | None = None) -> Tensor:
        """Codes (float64) of the output edge, of input codes (B, steps, size) float64.

        Args:
            codes: of the input.
            lengths: steps of each sequence (B,), all if None; later steps are computed,
                but reach no output of a sequence.
        """
        edges = {self.start.input.name: codes}
        for node in self.start.nodes.values():
            if isinstance(node.op, Scan):
                if node.name in self.banks:
                    edges[node.name] = states(self.banks[node.name], edges[node.op.input])
            elif node.name in self.banks:
                edges[node.name] = self._readout(node, edges)
            else:
                inputs = [edges[source] for source in node.op.sources]
                if (
                    lengths is not None
                    and node.output.per_sequence
                    and not node.inputs[0].per_sequence
                ):
                    edges[node.name] = _pool(node, inputs[0], lengths)
                else:
                    edges[node.name] = registry.qat(node.op.op)(node, *inputs, *self._latents(node))
        return edges[self.start.graph.output]

    def _latents(self, node: Node) -> list[Tensor]:
        return [self.latents[_key(tensor.tensor)] for tensor in node.op.trained]

    def _readout(self, node: Node, edges: dict[str, Tensor]) -> Tensor:
        """A dense and the scan that it reads, in one walk through time."""
        weight, *offset = self._latents(node)
        u = self.start.nodes[node.op.sources[0]].op.sources[0]
        sums = scan(self.banks[node.name], edges[u], weights(node, weight))
        return store(sums + bias(node, *offset), node.accumulator.f_bits, node.output.format)

    def manifest(self) -> Manifest:
        """The integer program as it is now."""
        tensors = dict(self.start.tensors.codes)
        formats = self.start.tensors.formats | self._formats()
        for name, format in self._formats().items():
            trained = codes_of(self.latents[_key(name)].detach(), format).long().numpy()
            tensors[name] = trained.reshape(tensors[name].shape)
        return Manifest(self.start.graph, Tensors(tensors, formats))

    def _formats(self) -> dict[str, Format]:
        return {
            tensor.tensor: tensor.format
            for node in self.start.nodes.values()
            for tensor in node.op.trained
        }


def _key(name: str) -> str:
    """A tensor's name where torch allows no dots."""
    return name.replace(".", "/")


def _pool(node: Node, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """A pool over sequences of several lengths, one length after the other."""
    order, (ends, counts) = (
        np.argsort(lengths, kind="stable"),
        np.unique(lengths, return_counts=True),
    )
    groups = torch.split(x[order], counts.tolist())
    pool = registry.qat(node.op.op)
    return torch.cat(
        [pool(node, group[:, :end]) for group, end in zip(groups, ends.tolist(), strict=True)]
    )[np.argsort(order)]


@torch.no_grad()
def outputs(
    model: QatModel, codes: NDArray[np.integer], lengths: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """What `ssm_hdl.sim.golden.run` puts out, faster, of codes (n, steps, size);
    0 after the end of a sequence."""
    edges = [
        node.output
        for node in model.start.nodes.values()
        if not isinstance(node.op, Scan) or node.name in model.banks
    ]
    size = max(
        1,
        min(
            250,
            EDGE_BYTES
            // (8 * codes.shape[1] * sum(edge.size * (1 + edge.is_complex) for edge in edges)),
        ),
    )
    results = []
    for start in range(0, len(codes), size):
        batch = model.start.check_samples(codes[start : start + size])
        ends = None if lengths is None else lengths[start : start + size]
        codes_out = model(torch.from_numpy(batch).double(), ends).long().numpy()
        if ends is not None and codes_out.ndim == 3:
            codes_out[np.arange(codes.shape[1]) >= ends[:, np.newaxis]] = 0
        results.append(codes_out)
    return np.concatenate(results)
