"""Lowering of the SSM of an S5: drive (Bbar), scan, readout (2 C), skip (D) and sum.

Powers of two balance the modes, so that the drive and the state of every mode fill their formats.
"""

import numpy as np
import torch

from ssm_hdl import SQ
from ssm_hdl.sw.models.s5_ssm import S5SSM
from ssm_hdl.sw.models.stack import Block
from ssm_hdl.sw.quantize.draft import Draft, gelu, numpy
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.stack import StackLowering, diagonal
from ssm_hdl.sw.quantize.transition import real_pairs, store


class S5Lowering(StackLowering):
    """An S5 on its way to integers."""

    denses = ("drive", "readout")
    folds_offset = True

    @property
    def sizes(self) -> str:
        """The family and its width."""
        return f"S5, H = {self.model.config.width}, P"

    @classmethod
    def trace_ssm(
        cls, seen: dict[str, torch.Tensor], k: str, block: Block, u: torch.Tensor, states: bool
    ) -> None:
        """Complex edges become (B, L, 2 P), real and imaginary parts in turn;
        the model's readout is the manifest's sum."""
        assert isinstance(block.seq, S5SSM)
        for name in (f"drive_{k}", f"state_{k}"):
            seen[name] = seen[name].reshape(*seen[name].shape[:-1], 2, -1).mT.flatten(-2)
        seen[f"sum_{k}"], seen[f"skip_{k}"] = seen[f"readout_{k}"], u * block.seq.D.detach()
        seen[f"readout_{k}"] = seen[f"sum_{k}"] - seen[f"skip_{k}"]

    def ssm(
        self, draft: Draft, k: str, block: Block, source: str, gain: Floats, offset: Floats
    ) -> str:
        """Append drive, scan, readout, skip and sum."""
        recipe, seq = self.recipe, block.seq
        assert isinstance(seq, S5SSM)
        poles, b = (numpy(values) for values in seq.discrete())
        c = 2 * (numpy(seq.C[..., 0]) + 1j * numpy(seq.C[..., 1]))
        abar = store(poles[:, np.newaxis], recipe.transition, recipe.delta)
        state, drive = SQ(1, recipe.state - 1), SQ(1, recipe.activations["drive"] - 1)
        peak = self._peak(f"state_{k}") * self.margin(f"readout_{k}")
        e = np.floor(np.log2(state.max * state.lsb / peak)).astype(np.int64)
        d = np.floor(np.log2(drive.max * drive.lsb / self._peak(f"drive_{k}"))).astype(np.int64)
        # The drive keeps all its bits until the state is rounded.
        d = np.minimum(d, e + abar.f_bits + state.f_bits - drive.f_bits)
        draft.scales[f"drive_{k}"] = np.exp2(np.repeat(d, 2))
        rows = np.ldexp(real_pairs(b * gain).swapaxes(1, 2), d[:, np.newaxis, np.newaxis]).reshape(
            1, 2 * len(poles), -1
        )
        bias = np.ldexp(real_pairs(b @ offset), d[:, np.newaxis]).reshape(1, -1)
        driven = draft.dense(f"drive_{k}", source, rows, bias, result="complex", format=drive)
        scan = draft.scan(f"ssm_{k}", driven, abar, (e - d)[:, np.newaxis], state)
        read = real_pairs(c * np.exp2(-e.astype(np.float64))).reshape(1, len(c), -1)
        readout = draft.dense(f"readout_{k}", scan, read, np.zeros((1, len(c))), pairs=True)
        d_ = numpy(seq.D)
        skip = diagonal(draft, f"skip_{k}", source, d_ * gain, d_ * offset)
        return draft.add(
            "add", f"sum_{k}", inputs=[readout, skip], format=draft.edge(f"sum_{k}", function=gelu)
        )

    def _peak(self, name: str) -> Floats:
        """The largest |Re| or |Im| of every mode, (P,), of a complex edge."""
        return np.asarray(np.maximum(self.edges[name].peak.reshape(-1, 2).max(1), 2.0**-40))
