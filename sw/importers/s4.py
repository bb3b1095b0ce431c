"""Imports models of state-spaces/s4: blocks of S4D between an encoder and a decoder,
as ``example.py`` there has them.

    self.encoder = nn.Linear(channels, H)
    # or S4Block(H, mode="diag", ...)
    self.s4_layers = nn.ModuleList([S4D(H, ...) for _ in range(layers)])
    self.norms = nn.ModuleList([nn.LayerNorm(H) for _ in range(layers)])
    self.decoder = nn.Linear(H, classes)

Three versions of the recurrence differ in parameters and signs:

| arrays of the kernel | A | B | discretization |
|---|---|---|---|
| log_A_real, A_imag, log_dt, C (``s4d.py``) | -exp(log_A_real) + i A_imag | 1 | zoh |
| A_real, A_imag, inv_dt, B, C (S4 v4) | -exp(A_real) - i A_imag | B | zoh by default |
| inv_A_real, A_imag, log_dt, B, C (S4 v3) | -exp(inv_A_real) + i A_imag | B | bilinear by default |

All become poles exp(dt A) with zero-order hold and B = 1. This is exact:
C takes the rest of each mode's gain.
"""

from typing import Any

import torch
from torch import Tensor

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.importers.stacks import (
    ACTIVATIONS,
    ORDERS,
    WHERE,
    blocks_of,
    check_pooling,
    read_ends,
    read_norms,
)
from ssm_hdl.sw.models import Config
from ssm_hdl.sw.models.s4d import LAYER, DeepS4DConfig, S4DConfig

KERNEL = r"(?:\w+\.)*?(?:kernel\.)+"
"""Of a block, or of the module of any name that holds its SSM."""

VERSIONS = {
    "log_A_real": (1, "log_dt", "zoh"),
    "A_real": (-1, "inv_dt", "zoh"),
    "inv_A_real": (1, "log_dt", "bilinear"),
}
"""By the array of the real part: the sign of the imaginary part, the array of dt,
and the discretization of the code."""


def recognise(arrays: Arrays) -> bool:
    """Whether a block has a kernel with C."""
    return any(".kernel.C" in name for name in arrays.tensors)


def read(
    arrays: Arrays,
    inputs: InputSpec,
    norm_order: str | None = None,
    activation: str | None = None,
    discretization: str | None = None,
    pooling: str | None = None,
) -> tuple[Config, dict[str, Tensor]]:
    """Config and tensors of the model.

    Args:
        arrays: of the checkpoint.
        inputs: the samples that the model takes.
        norm_order: ``prenorm`` or ``postnorm``, if it has norms.
        activation: ``gelu`` or ``gelu_tanh``; ``s4d.py`` has the first.
        discretization: ``zoh`` or ``bilinear``.
        pooling: of the steps, as in the config; the mean of ``example.py`` if None.

    Raises:
        SsmHdlError: a model that cannot stream, another block,
            or an array that is missing or misshapen.
    """
    pooling = check_pooling(arrays, inputs, pooling, usual="mean")
    for name in arrays.tensors:
        if name.endswith(("kernel.P", "kernel.Q")):
            arrays.fail(
                f"has a state matrix of diagonal plus low rank ({name}), which couples all modes, "
                "so it cannot be streamed mode by mode; train with mode='diag' (S4D)"
            )
    blocks = blocks_of(arrays, f"{KERNEL}C")
    kernels = [
        next(
            name for name in arrays.tensors if name.startswith(block) and name.endswith("kernel.C")
        )
        for block in blocks
    ]
    tensors = dict[str, Tensor]()
    *_, width, modes, _ = arrays.shape(
        kernels[0], "(H, N, 2)" if arrays.tensors[kernels[0]].ndim < 4 else "(1, H, N, 2)"
    )
    plain = all(f"{name.removesuffix('C')}log_A_real" in arrays for name in kernels)
    if plain:
        arrays.refuse("discretization", discretization, "is of s4d.py, which has zoh")
    activation = activation or ("gelu" if plain else None)
    activation = arrays.ask(
        "activation", activation, tuple(ACTIVATIONS), "the activation after the SSM"
    )
    norm_kind, norms, final = read_norms(arrays, blocks, width)
    for number, (block, kernel, norm) in enumerate(zip(blocks, kernels, norms, strict=True)):
        own = _kernel(arrays, kernel.removesuffix("C"), width, modes, discretization) | norm
        d = arrays.first(
            *(f"{kernel.rsplit('.', depth)[0]}.D" for depth in range(2, kernel.count(".") + 1))
        )
        own["seq.D"] = arrays.take(
            d, *((1, width) if arrays.tensors.get(d, torch.empty(0)).ndim == 2 else (width,))
        ).reshape(width)
        homes = [
            f"{kernel.rsplit('.', depth)[0]}."
            for depth in range(kernel.removeprefix(block).count(".") + 1, 1, -1)
        ]
        mixing = arrays.first(
            *(f"{home}output_linear{part}.weight" for home in homes for part in ("", ".0"))
        )
        own["out.weight"] = arrays.take(mixing, 2 * width, width)
        own["out.bias"] = arrays.bias(mixing, 2 * width)
        tensors |= {f"layers.{number}.{name}": tensor for name, tensor in own.items()}
    tensors |= read_ends(arrays, inputs, width) | final
    order = "prenorm"
    if norm_kind == "none":
        arrays.refuse("norm_order", norm_order, "has no norm")
    else:
        order = arrays.ask("norm_order", norm_order, ORDERS, WHERE)
    single = (
        len(blocks) == 1
        and plain
        and norm_kind == "none"
        and activation == "gelu"
        and pooling == "mean"
    )
    if single and inputs.channels == 1 and not (inputs.per_step or inputs.tokens):
        return S4DConfig(width=width, modes=modes), _single(tensors)
    options: dict[str, Any] = {
        "width": width,
        "modes": modes,
        "layers": len(blocks),
        "norm": norm_kind,
        "order": order,
    }
    options |= {"gelu": ACTIVATIONS[activation], "pooling": pooling, "final_norm": bool(final)}
    return DeepS4DConfig.model_validate(options), tensors


def _kernel(
    arrays: Arrays, name: str, width: int, modes: int, discretization: str | None
) -> dict[str, Tensor]:
    """The parameters of our kernel, from any version."""
    version = next((version for version in VERSIONS if f"{name}{version}" in arrays), None)
    if version is None:
        arrays.fail(
            f"lacks {name}log_A_real, {name}A_real or {name}inv_A_real; "
            "a diagonal S4 has one of them"
        )
    sign, dt_name, usual = VERSIONS[version]
    copies = (
        arrays.tensors[f"{name}{version}"].shape[0]
        if arrays.tensors[f"{name}{version}"].ndim == 2
        else width
    )
    if not copies or width % copies:
        arrays.fail(
            f"has {copies} state matrices ({name}{version}) for {width} channels; "
            "each serves equally many"
        )
    repeat = width // copies
    real, imaginary = (
        arrays.take(f"{name}{part}", copies, modes).repeat(repeat, 1)
        for part in (version, "A_imag")
    )
    if version == "log_A_real":
        own = {
            "C": arrays.take(f"{name}C", width, modes, 2),
            "log_dt": arrays.take(f"{name}log_dt", width),
        }
        return {
            f"seq.kernel.{part}": value
            for part, value in (own | {version: real, "A_imag": imaginary}).items()
        }
    channels = arrays.tensors[f"{name}C"].shape[0]
    if channels != 1:
        arrays.fail(
            f"is bidirectional, or has several channels ({name}C has shape "
            f"{tuple(arrays.tensors[f'{name}C'].shape)}, and one direction has 1 first), "
            "so it cannot be streamed; train one in one direction"
        )
    c = torch.view_as_complex(arrays.take(f"{name}C", 1, width, modes, 2)[0].double())
    b_shape = (
        (1, copies, modes, 2)
        if arrays.tensors.get(f"{name}B", real).ndim == 4
        else (copies, modes, 2)
    )
    b = torch.view_as_complex(
        arrays.take(f"{name}B", *b_shape).reshape(copies, modes, 2).repeat(repeat, 1, 1).double()
    )
    dt_shape = tuple(arrays.tensors.get(f"{name}{dt_name}", torch.empty(width)).shape)
    dt = arrays.take(f"{name}{dt_name}", *(dt_shape if dt_shape == (width, modes) else (width,)))
    dt = dt.double().reshape(width, -1).exp()
    a = torch.complex(-real.double().exp(), sign * imaginary.double())
    how = arrays.ask(
        "discretization", discretization or usual, ("zoh", "bilinear"), "the discretization"
    )
    half = dt * a / 2
    log_pole = 2 * half if how == "zoh" else torch.log((1 + half) / (1 - half))
    gain = torch.special.expm1(log_pole) / a if how == "zoh" else dt / (1 - half)
    # Our Bbar is (pole - 1) / A with A = log(pole) / dt, and dt is one per channel.
    ours = log_pole / dt[:, :1]
    c = c * b * gain * ours / torch.special.expm1(log_pole)
    own = {
        "C": torch.view_as_real(c),
        "log_dt": dt[:, 0].log(),
        "log_A_real": (-ours.real).log(),
        "A_imag": ours.imag,
    }
    return {f"seq.kernel.{part}": value.float() for part, value in own.items()}


def _single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names of an S4D of one layer."""
    names = {
        "layers.0.out.weight": f"{LAYER}.output_linear.0.weight",
        "layers.0.out.bias": f"{LAYER}.output_linear.0.bias",
    }
    renamed = {
        names.get(name, name.replace("layers.0.seq", LAYER)): tensor
        for name, tensor in tensors.items()
    }
    return {
        name: tensor[..., None] if name.endswith("output_linear.0.weight") else tensor
        for name, tensor in renamed.items()
    }
