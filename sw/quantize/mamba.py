"""Lowering of a Mamba to a manifest, block by block; docs/mamba.md has a drawing.

Powers of two are free in a manifest. The three outputs of x_proj share a format, so each is scaled
to fill it. dt_proj takes back the scale of dt, and the states take back the scales of B and C.
A channel of the states may have a scale too. Its y keeps this scale, and out_proj takes it back.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ssm_hdl import SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.functions import LEAK
from ssm_hdl.hadamard import matrix, split, transform
from ssm_hdl.operations.selective import OFFSET
from ssm_hdl.sw.data import Split
from ssm_hdl.sw.models.mamba import Block, Mamba, MambaConfig
from ssm_hdl.sw.quantize.calibrate import calibrate
from ssm_hdl.sw.quantize.draft import Draft, linear, numpy, silu
from ssm_hdl.sw.quantize.formats import covering, reach, tensor_format
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import DeepLowering
from ssm_hdl.sw.quantize.stack import affine, diagonal

FITTED = ("inner", "gate", "conv", "select", "dt", "out")
"""Denses of a block, to be fitted in this order."""

SELECTED = ("rank", "b", "c")
"""Outputs of x_proj, in this order."""

READ = ("scan", "sum", "gated")
"""Edges whose channels have the scales of the states."""

EULER = float(np.log2(np.log2(np.e)))
"""log2(dt log2 e) - log2(dt)."""

MAX_EXPONENT = 6
"""Most octaves between the channels of a state: the shift of a channel is a shift in hardware."""


class MambaLowering(DeepLowering):
    """A Mamba on its way to integers; arguments as of `DeepLowering`."""

    def prepare(self, samples: Split) -> None:
        """The exponents of the states, and the formats of the Hadamard transforms,
        which depend on them."""
        self.exponents = [self._exponents(f"_{k}") for k in range(len(self.model.blocks))]
        if self.recipe.hadamard:
            self._check_hadamard()
            self.edges |= calibrate(self._transformed, self.checkpoint.inputs, samples).edges

    def _check_hadamard(self) -> None:
        """Raise an error if no transform has the size of the blocks."""
        try:
            split(self.model.config.inner)
        except SsmHdlError as error:
            raise SsmHdlError(
                f"{self.recipe.name} transforms the channels of a block, and {error}; "
                "take a recipe without hadamard, such as mamba-w8a8"
            ) from error

    @property
    def model(self) -> Mamba:
        """The float model."""
        return self.checkpoint.require(Mamba)

    @classmethod
    def parts_of(cls, config: MambaConfig) -> tuple[str, Sequence[str], str]:
        """The denses of the mixer."""
        return "out", FITTED, "residual" if config.residual else "out"

    @classmethod
    def trace(cls, model: Mamba, x: torch.Tensor, states: bool = False) -> dict[str, torch.Tensor]:
        """The float values of the manifest's edges but the Hadamard transforms,
        on normalised inputs x (B, L, channels)."""
        seen = model.trace(x)
        norms = {f"norm_{k}": block.norm for k, block in enumerate(model.blocks)} | {
            "norm_f": model.norm_f
        }
        if model.config.final_norm and model.config.pooling == "max":
            seen["carry_f"] = seen["norm_f"]
        elif "pool" in seen:
            norms["pool"] = model.norm_f
        for name in norms.keys() & seen.keys():  # the operation has no gain
            gain = affine(norms[name])[1]
            seen[name] = seen[name] / torch.from_numpy(np.where(gain == 0, 1, gain)).to(seen[name])
        for k in range(len(model.blocks)):
            h = seen.pop(f"state_{k}")
            if states:
                seen[f"ssm_{k}"] = torch.stack(
                    [h.abs().amax((0, 1)).double(), h.square().double().sum((0, 1))]
                )
            seen[f"select_{k}"] = torch.cat([seen[f"{part}_{k}"] for part in SELECTED], -1)
        return seen

    def wanted(self, x: torch.Tensor) -> dict[str, Floats]:
        """The activations of the model, in the units of the manifest."""
        transformed = (
            {name: values.numpy() for name, values in self._transformed(x).items()}
            if self.recipe.hadamard
            else {}
        )
        return super().wanted(x) | transformed

    def _transformed(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """The Hadamard transforms of all blocks."""
        seen, shift = self.model.trace(x), self.shift
        gated = [
            seen[f"gated_{k}"].double().numpy() * np.exp2(e) for k, e in enumerate(self.exponents)
        ]
        return {
            f"hadamard_{k}": torch.from_numpy(np.ldexp(transform(values), -shift))
            for k, values in enumerate(gated)
        }

    @property
    def shift(self) -> int:
        """The power of two nearest to the root of the size of the transform,
        which keeps the mean square."""
        m, k = split(self.model.config.inner)
        return round(float(np.log2(m)) + k) // 2

    def _exponents(self, k: str) -> Codes:
        """Powers of two (E,) of the channels of the states.

        No state and no edge after it becomes larger than the largest of all channels,
        so no format has to reach further.
        """
        peaks = [
            self.calibration.states[f"ssm{k}"][0].max(1),
            *(self.edges[f"{name}{k}"].peak for name in READ),
        ]
        # zeros, as of a pruned block, fit with every exponent
        rooms = [_room(peak) for peak in peaks if peak.any()]
        room = np.min(rooms, axis=0) if rooms else np.full(len(peaks[0]), MAX_EXPONENT)
        return np.asarray(room * self.recipe.per_channel)

    @property
    def title(self) -> str:
        """What the model is, with its sizes."""
        config = self.model.config
        return (
            f"Mamba, D = {config.width}, E = {config.inner}, N = {config.modes}, "
            f"{config.layers} layers"
        )

    def append(self, draft: Draft, source: str) -> str:
        """Append encoder, blocks, last norm, pool and decoder."""
        model, config = self.model, self.model.config
        stream = self.encode(draft, model.encoder, source)
        for k, block in enumerate(model.blocks):
            stream = self._block(draft, k, block, stream)
        gain: Floats | float = 1.0
        if config.final_norm:
            stream, gain = self._norm(draft, "norm_f", model.norm_f, stream)
            if config.pooling == "max":  # a gain below 0 makes the largest the smallest
                stream, gain = (
                    diagonal(draft, "carry_f", stream, np.asarray(gain), np.zeros(config.width)),
                    1.0,
                )
        return self.decode(draft, model.decoder, stream, config.pooling, gain)

    def _norm(
        self, draft: Draft, name: str, norm: torch.nn.Module, stream: str
    ) -> tuple[str, Floats]:
        """The edge after a norm, and the gain that its reader has to fold in."""
        gain = affine(norm)[1]
        return (
            self.add_norm(draft, name, stream, len(gain), self.model.config.epsilon, center=False),
            gain,
        )

    def _block(self, draft: Draft, number: int, block: Block, stream: str) -> str:
        """Append the operations of a block on the edge ``stream``; returns its output."""
        k, mixer, config, exponent = (
            f"_{number}",
            block.mixer,
            self.model.config,
            self.exponents[number],
        )
        source, gain = (
            (stream, 1.0)
            if config.norm == "none"
            else self._norm(draft, f"norm{k}", block.norm, stream)
        )
        weight, bias = linear(mixer.in_proj)
        halves = zip(
            ("inner", "gate"),
            np.split(weight * gain, 2),
            np.split(bias, 2),
            (None, silu),
            strict=True,
        )
        inner, gate = (
            draft.dense(
                f"{name}{k}",
                source,
                rows[np.newaxis],
                offset[np.newaxis],
                format=draft.edge(f"{name}{k}", function=f),
            )
            for name, rows, offset, f in halves
        )
        taps = (
            draft.add("taps", f"taps{k}", input=inner, taps=config.taps)
            if config.taps > 1
            else inner
        )
        kernel = numpy(mixer.conv1d.weight)
        offset = np.zeros(len(kernel)) if mixer.conv1d.bias is None else numpy(mixer.conv1d.bias)
        conv = draft.dense(
            f"conv{k}",
            taps,
            kernel,
            offset[:, np.newaxis],
            format=draft.edge(f"conv{k}", function=silu),
        )
        active = draft.table(f"active{k}", "silu", conv)
        scan = self._scan(draft, k, block, active, exponent)
        d = numpy(mixer.D) * np.exp2(exponent)
        draft.scales |= {f"{name}{k}": np.exp2(exponent) for name in ("skip", "sum", "gated")}
        skip = diagonal(draft, f"skip{k}", active, d, np.zeros(len(d)))
        total = draft.add("add", f"sum{k}", inputs=[scan, skip])
        gated = draft.add(
            "multiply", f"gated{k}", inputs=[total, draft.table(f"opened{k}", "silu", gate)]
        )
        weight, bias = linear(mixer.out_proj)
        weight = weight * np.exp2(-exponent)
        if self.recipe.hadamard:
            gated = draft.add("hadamard", f"hadamard{k}", input=gated, shift=self.shift)
            weight = np.ldexp(weight @ matrix(len(d)).T, self.shift) / len(d)
        out = draft.dense(f"out{k}", gated, weight[np.newaxis], bias[np.newaxis])
        return draft.add("add", f"residual{k}", inputs=[stream, out]) if config.residual else out

    def _scan(self, draft: Draft, k: str, block: Block, active: str, exponent: Codes) -> str:
        """Append x_proj, dt_proj and the selective scan, with channels scaled by powers of two;
        returns its output."""
        mixer, recipe, config = block.mixer, self.recipe, self.model.config
        sizes = {"rank": config.dt_rank, "b": config.modes, "c": config.modes}
        room = _room(
            np.array(
                [
                    float(reach(self.edges[f"{name}{k}"], recipe.rule("select")).max())
                    for name in SELECTED
                ]
            )
        )
        scale = np.exp2(np.repeat(room, list(sizes.values())))
        draft.scales[f"select{k}"] = scale
        weight, bias = linear(mixer.x_proj)
        select = draft.dense(
            f"select{k}",
            active,
            (weight * scale[:, np.newaxis])[np.newaxis],
            (bias * scale)[np.newaxis],
        )
        start = 0
        for (name, size), shift in zip(sizes.items(), room, strict=True):
            draft.scales[f"{name}{k}"] = np.exp2(np.full(size, shift))
            draft.add("slice", f"{name}{k}", input=select, start=start, size=size)
            start += size
        for_rank, for_b, for_c = room
        weight, bias = linear(mixer.dt_proj)
        dt = draft.dense(
            f"dt{k}", f"rank{k}", np.ldexp(weight, -for_rank)[np.newaxis], bias[np.newaxis]
        )
        alpha = numpy(mixer.A_log) * np.log2(np.e)
        self._check_rates(k, alpha)
        # Below the table's -12 octaves a rate is saturated, so its format need not reach further.
        rates = draft.once(
            f"rate{k}",
            lambda: covering(
                min(float(self.edges[f"rate{k}"].peak.max()), 15), recipe.activations["rate"]
            ),
        )
        rate = draft.table(f"rate{k}", "log2_softplus", dt, format=rates)
        step = draft.table(f"step{k}", "softplus", dt, format=draft.edge(f"step{k}", signed=False))
        drive = draft.add("multiply", f"drive{k}", inputs=[step, active])
        peak = (
            self.calibration.states[f"ssm{k}"][0].max(1)
            * np.exp2(exponent - for_c)
            * self.margin(f"out{k}")
        )
        draft.scales[f"scan{k}"] = np.exp2(exponent)
        return draft.selective(
            f"scan{k}",
            [rate, drive, f"b{k}", f"c{k}"],
            alpha,
            tensor_format(alpha, recipe.transition, recipe),
            exponent - for_c - for_b,
            covering(float(peak.max()), recipe.state),
        )

    def _check_rates(self, k: str, alpha: Floats) -> None:
        """Refuse a channel whose states never have a decay that the table holds."""
        rates = self.edges[f"rate{k}"]
        least, greatest = (limit * LEAK.lsb - OFFSET for limit in (LEAK.min, LEAK.max))

        def decays(low: float, high: float) -> str:
            return f"2^{low - EULER:.1f} to 2^{high - EULER:.1f}"

        for c, (low, high) in enumerate(
            zip(rates.low + alpha.min(1), rates.high + alpha.max(1), strict=True)
        ):
            if high < least or low > greatest:
                raise SsmHdlError(
                    f"dt{k}: -dt A of channel {c} goes from {decays(low, high)}, all outside the "
                    f"table of decays from {decays(least, greatest)}; train with another dt_range"
                )


def _room(peaks: Floats) -> Codes:
    """Powers of two, at most `MAX_EXPONENT`, that bring no peak above the greatest;
    0 if all are 0."""
    greatest = peaks.max()
    if not greatest:
        return np.zeros(peaks.shape, np.int64)
    return np.asarray(
        np.floor(np.log2(greatest / np.maximum(peaks, greatest * 2.0**-MAX_EXPONENT))).astype(
            np.int64
        )
    )
