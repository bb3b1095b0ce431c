"""Imports Mamba of mamba_ssm, of Hugging Face transformers and of mambapy,
and single blocks between an encoder and a decoder.

| layout | encoder | block | before the decoder | decoder |
|---|---|---|---|---|
| mamba_ssm | backbone.embedding | backbone.layers.0.{norm,mixer} | backbone.norm_f | lm_head |
| transformers | backbone.embeddings | backbone.layers.0.{norm,mixer} | backbone.norm_f | lm_head |
| mambapy | embedding | mamba.layers.0.{norm,mixer} | norm_f | lm_head |
| a single block | linear_in, encoder | mamba, mixer | norm_f, or nothing | classifier, decoder |

Biases of encoder, convolution and decoder may be absent, and the lm_head of a tied model. A decoder
that equals the table of the encoder is tied to it. Rows after the vocabulary, by which some codes
pad it, are dropped. Other models have the same arrays, and compute something else: mambapy with
``mup``, and Falcon-Mamba, which a config.json beside the arrays tells.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.importers.described import described
from ssm_hdl.sw.importers.stacks import NORM, blocks_of, check_pooling, gives, takes
from ssm_hdl.sw.models.mamba import MambaConfig

STATE = re.compile(r"(|.*[./])A(?:_log)?")
ENCODERS = (
    "backbone.embedding",
    "backbone.embeddings",
    "embedding",
    "embeddings",
    "linear_in",
    "encoder",
)
DECODERS = ("lm_head", "classifier", "decoder")
FINAL = rf"(?:backbone\.)?\w*(?:{NORM})\w*\.weight"
"""The norm after the last block."""

BACKWARD = r"A_b_log$|(?:^|[._])(?:bwd|rev|reverse|backward)[._](?:.*\.)?A(?:_log)?$"
"""Of the other direction, in the names of Vision Mamba and of codes with two mixers."""

ANSWERS = ("yes", "no")
PADDING = 64
"""Codes pad a vocabulary to a multiple of at most this."""


def recognise(arrays: Arrays) -> bool:
    """Whether a block has a mixer."""
    return any(name.endswith(("x_proj.weight", "A_log")) for name in arrays.tensors)


def read(
    arrays: Arrays, inputs: InputSpec, residual: str | None = None, pooling: str | None = None
) -> tuple[MambaConfig, dict[str, Tensor]]:
    """Config and tensors of the model.

    Args:
        arrays: of the checkpoint.
        inputs: the samples that the model takes.
        residual: ``yes`` if a block adds its input; blocks of ``norm`` and ``mixer``,
            as the three packages have them, do.
        pooling: of the steps, as in the config.

    Raises:
        SsmHdlError: a Mamba-2, an A that grows, or an array that is missing or misshapen.
    """
    options = described(arrays)
    mixers = [match[1] for name in sorted(arrays.tensors) if (match := STATE.fullmatch(name))]
    for mixer in mixers:
        if (
            f"{mixer}dt_bias" in arrays
            or arrays.tensors.get(f"{mixer}A_log", torch.empty(0, 0)).ndim == 1
        ):
            arrays.fail(
                f"is a Mamba-2 ({mixer}A_log has one number for each head); "
                "a Mamba of the first kind can be imported"
            )
    backward = [name for name in arrays.tensors if re.search(BACKWARD, name, re.IGNORECASE)]
    if backward:
        arrays.fail(
            f"is bidirectional ({backward[0]}), so it cannot be streamed; "
            "train one in one direction"
        )
    single = len(mixers) == 1 and not re.search(r"\d", mixers[0])
    blocks = [""] if single else blocks_of(arrays, r"(?:\w+[./])*?A(?:_log)?")
    mixers = [next(mixer for mixer in mixers if mixer.startswith(block)) for block in blocks]
    first, norms = mixers[0], _norms(arrays, blocks)
    if len(norms) not in (0, len(blocks)):
        arrays.fail(
            f"has {len(norms)} norms in {len(blocks)} blocks; models with one in each, or in none, "
            "can be imported"
        )
    if not single and all(
        f"{block}mixer." in mixers and f"{block}norm.weight" in norms for block in blocks
    ):
        arrays.refuse(
            "residual",
            residual,
            "is of mamba_ssm, transformers or mambapy, whose blocks add their inputs",
        )
        added = "yes"
    else:
        what = "whether a block adds its input"
        if norms:
            what += (
                f", as x + block(norm(x)) does; {norms[0]} is taken for a norm before the block "
                "(another order is not imported)"
            )
        added = arrays.ask("residual", residual, ANSWERS, what)
    decay = arrays.first(f"{first}A", f"{first}A_log")
    inner, modes = arrays.shape(decay, "(E, N)")
    _, width = arrays.shape(f"{first}in_proj.weight", "(2 E, D)")
    _, rank = arrays.shape(f"{first}dt_proj.weight", "(E, R)")
    *_, taps = arrays.shape(f"{first}conv1d.weight", "(E, 1, K)")
    if not width or inner % width:
        arrays.fail(
            f"has {inner} channels in a block ({decay}) of width {width} ({first}in_proj); "
            "a multiple of it can be imported"
        )
    finals = [
        name
        for name in arrays.tensors
        if re.fullmatch(FINAL, name, re.IGNORECASE) and name not in norms
    ]
    final = arrays.first(*finals, "norm_f.weight")
    for name in (*norms, *finals):
        if (bias := f"{name.removesuffix('weight')}bias") in arrays:
            arrays.fail(
                f"has {bias}, as a LayerNorm has; a Mamba with RMSNorms, or without norms, "
                "can be imported"
            )
    tensors = _encoder(arrays, inputs, width)
    decoder, tied = _decoder(arrays, inputs, width, tensors["encoder.weight"])
    options |= {
        "width": width,
        "layers": len(blocks),
        "modes": modes,
        "expand": inner // width,
        "rank": rank,
    }
    options |= {
        "taps": taps,
        "norm": "rms" if norms else "none",
        "residual": added == "yes",
        "final_norm": final in arrays,
    }
    pooling = check_pooling(arrays, inputs, pooling, usual=None)
    config = MambaConfig.model_validate(options | {"pooling": pooling, "tied": tied})
    for number, mixer in enumerate(mixers):
        own = _mixer(arrays, mixer, config)
        tensors |= {f"layers.{number}.mixer.{name}": tensor for name, tensor in own.items()}
    tensors |= {
        f"layers.{number}.norm.weight": arrays.take(name, width)
        for number, name in enumerate(norms)
    }
    tensors |= {"norm_f.weight": arrays.take(final, width)} if final in arrays else {}
    return config, tensors | decoder


def _norms(arrays: Arrays, blocks: Sequence[str]) -> list[str]:
    """The gains of the norms of the blocks: in a block, or in a list of norms; of a single block,
    the one called norm."""
    norms = []
    numbered = (
        re.fullmatch(rf"(?:{NORM})\w*\.(\d+)\.weight", name, re.IGNORECASE)
        for name in arrays.tensors
    )
    # the list may begin at 1
    first = min((int(match[1]) for match in numbered if match), default=0)
    for number, block in enumerate(blocks, first):
        own = rf"{re.escape(block)}\w*(?:{NORM})\w*|(?:{NORM})\w*\.{number}" if block else "norm"
        norms += [
            name
            for name in arrays.tensors
            if re.fullmatch(rf"(?:{own})\.weight", name, re.IGNORECASE)
        ]
    return norms


def _mixer(arrays: Arrays, source: str, config: MambaConfig) -> dict[str, Tensor]:
    """The tensors of a mixer."""
    inner, rank, modes = config.inner, config.rank, config.modes
    shapes: dict[str, tuple[int, ...]] = {
        "in_proj.weight": (2 * inner, config.width),
        "out_proj.weight": (config.width, inner),
    }
    shapes |= {
        "conv1d.weight": (inner, 1, config.taps),
        "x_proj.weight": (rank + 2 * modes, inner),
        "D": (inner,),
    }
    shapes |= {"dt_proj.weight": (inner, rank), "dt_proj.bias": (inner,)}
    tensors = {name: arrays.take(f"{source}{name}", *shape) for name, shape in shapes.items()}
    tensors["conv1d.bias"] = _bias(arrays, f"{source}conv1d", inner)
    if f"{source}A" not in arrays:
        return tensors | {"A_log": arrays.take(f"{source}A_log", inner, modes)}
    a = arrays.take(f"{source}A", inner, modes)
    if (a >= 0).any():
        arrays.fail(
            f"has {int((a >= 0).sum())} values of {source}A that are not below 0, "
            "so a state would never decay"
        )
    return tensors | {"A_log": torch.log(-a)}


def _encoder(arrays: Arrays, inputs: InputSpec, width: int) -> dict[str, Tensor]:
    """The tensors of the encoder."""
    name = arrays.first(*(f"{encoder}.weight" for encoder in ENCODERS)).removesuffix(".weight")
    if inputs.tokens:
        return {
            "encoder.weight": _rows(arrays, f"{name}.weight", inputs.tokens, width, takes(inputs))
        }
    weight = arrays.take(f"{name}.weight", width, inputs.channels, why=takes(inputs))
    return {"encoder.weight": weight, "encoder.bias": _bias(arrays, name, width)}


def _decoder(
    arrays: Arrays, inputs: InputSpec, width: int, table: Tensor
) -> tuple[dict[str, Tensor], bool]:
    """The tensors of the decoder, none if it is tied; and whether it is."""
    name = arrays.first(*(f"{decoder}.weight" for decoder in DECODERS)).removesuffix(".weight")
    language = inputs.tokens == inputs.outputs
    if language and f"{name}.weight" not in arrays:
        return {}, True
    weight = _rows(arrays, f"{name}.weight", inputs.outputs, width, gives(inputs))
    if language and f"{name}.bias" not in arrays and torch.equal(weight, table):
        return {}, True
    return {"decoder.weight": weight, "decoder.bias": _bias(arrays, name, inputs.outputs)}, False


def _rows(arrays: Arrays, name: str, count: int, width: int, why: str) -> Tensor:
    """The first ``count`` rows of a matrix, which may be padded; ``why`` so many."""
    rows = arrays.shape(name, "(tokens, D)")[0] if name in arrays else count
    return arrays.take(name, rows if count <= rows < count + PADDING else count, width, why=why)[
        :count
    ]


def _bias(arrays: Arrays, name: str, size: int) -> Tensor:
    """A bias; zeros if there is none."""
    return arrays.take(f"{name}.bias", size) if f"{name}.bias" in arrays else torch.zeros(size)
