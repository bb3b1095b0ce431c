"""Imports the S5 of s5-pytorch 0.2.1: ``encoder``, a stack of ``S5Block``,
a pooling over the steps, ``decoder``.

    self.encoder = nn.Linear(1, H)                    # or nn.Embedding(tokens, H)
    self.layers = nn.ModuleList([S5Block(H, P, bidir=False) for _ in range(layers)])
    self.decoder = nn.Linear(H, classes)

The blocks may have any name. They differ from the JAX code in four points:

- All P eigenvalues are stored, and y = Re(C h) without the factor 2, which equals 2 Re((C / 2) h).
- The residual adds the normalised input.
- The SSM has no gate.
- A feed-forward network follows the SSM.

A block with ``liquid=True`` or a ``degree`` other than 1 has the same arrays. It cannot be refused,
but computes something else.
"""

import re

import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.importers.stacks import check_pooling, read_ends, refuse_growth
from ssm_hdl.sw.models.s5 import S5Config

LAMBDA = "s5.seq.Lambda"


def recognise(arrays: Arrays) -> bool:
    """Whether a block has its Lambda."""
    return any(name.endswith(LAMBDA) for name in arrays.tensors)


def read(
    arrays: Arrays, inputs: InputSpec, pooling: str | None = None
) -> tuple[S5Config, dict[str, Tensor]]:
    """Config and tensors of the model; ``pooling`` is asked for.

    Raises:
        SsmHdlError: another layout, a bidirectional model, another kind of block,
            or an array that is missing or misshapen.
    """
    blocks = [name.removesuffix(LAMBDA) for name in arrays.tensors if name.endswith(LAMBDA)]
    blocks.sort(key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)])
    if not blocks:
        begin = ", ".join(sorted(arrays.tensors)[:3])
        raise SsmHdlError(
            f"{arrays.path} has another layout: no {LAMBDA} of an S5Block; it begins with {begin}"
        )
    first = blocks[0]
    if f"{first}s5.seq.BH" in arrays:
        raise SsmHdlError(
            f"{arrays.path} has a factorized B and C ({first}s5.seq.BH); "
            "only dense ones can be imported"
        )
    (modes,) = arrays.shape(f"{first}s5.seq.Lambda", "(P,)")
    width, columns = arrays.shape(f"{first}s5.seq.C", "(H, P)")
    if columns == 2 * modes:
        raise SsmHdlError(
            f"{arrays.path} is bidirectional (C has {columns} columns), so it cannot be streamed; "
            "train with bidir=False"
        )
    rows, _ = arrays.shape(f"{first}ff_enc.weight", "(2 F, H)")
    _, hidden = arrays.shape(f"{first}ff_dec.weight", "(H, F)")
    if rows == hidden:
        raise SsmHdlError(
            f"{arrays.path} has a feed-forward network without GEGLU ({first}ff_enc.weight); "
            "train with glu=True"
        )
    config = S5Config(
        width=width, modes=modes, layers=len(blocks), norm="layer_bias", epsilon=1e-5, gate="none",
        gelu="erf", skip="norm", hidden=hidden, clip=False,
        pooling=check_pooling(arrays, inputs, pooling, usual=None),  # type: ignore[arg-type]  # pydantic checks it
    )  # fmt: skip
    tensors = read_ends(arrays, inputs, width)
    for number, block in enumerate(blocks):
        eigenvalues = arrays.take(f"{block}s5.seq.Lambda", modes, is_complex=True)
        refuse_growth(arrays, f"{block}s5.seq.Lambda", eigenvalues.real)
        block_tensors: dict[str, Tensor] = {
            "seq.Lambda_re": eigenvalues.real,
            "seq.Lambda_im": eigenvalues.imag,
        }
        block_tensors["seq.B"] = arrays.take(f"{block}s5.seq.B", modes, width, 2)
        block_tensors["seq.C"] = torch.view_as_real(
            arrays.take(f"{block}s5.seq.C", width, modes, is_complex=True) / 2
        )
        block_tensors["seq.D"] = arrays.take(f"{block}s5.seq.D", width)
        block_tensors["seq.log_step"] = arrays.take(f"{block}s5.seq.log_step", modes)
        for ours, theirs in (("norm", "attn_norm"), ("ff_norm", "ff_norm")):
            block_tensors |= {
                f"{ours}.{part}": arrays.take(f"{block}{theirs}.{part}", width)
                for part in ("weight", "bias")
            }
        block_tensors["ff_enc.weight"] = arrays.take(f"{block}ff_enc.weight", 2 * hidden, width)
        block_tensors["ff_dec.weight"] = arrays.take(f"{block}ff_dec.weight", width, hidden)
        tensors |= {f"layers.{number}.{name}": tensor for name, tensor in block_tensors.items()}
    return config, tensors
