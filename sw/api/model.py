"""A quantised model: the integer program of a manifest, which predicts,
and is planned for a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import RenderableType

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.fixed import Codes
from ssm_hdl.sw.api.arguments import arguments
from ssm_hdl.sw.api.design import Design
from ssm_hdl.sw.api.samples import samples_of
from ssm_hdl.sw.api.score import Score
from ssm_hdl.sw.api.shown import Shown
from ssm_hdl.sw.cli.console import facts, table
from ssm_hdl.sw.evaluate import evaluate_integer, outputs_of

if TYPE_CHECKING:
    from ssm_hdl.sw.quantize import EdgeError
    from ssm_hdl.sw.quantize.lowering import Lowering


@dataclass(frozen=True, repr=False)
class Trace(Shown):
    """The values of every edge, layer by layer.

    Attributes:
        integer: values of the integer program by edge, codes times LSB: (batch, steps, size), or
            (batch, size) once per sequence. A complex edge has real and imaginary parts
            on one more axis.
        floating: the same of the float model, by edge; empty for a model that was loaded.
        errors: how far the two are apart, by edge.
    """

    integer: Mapping[str, NDArray[np.float64]]
    floating: Mapping[str, NDArray[np.float64]]
    errors: Mapping[str, "EdgeError"]

    def parts(self) -> tuple[RenderableType, ...]:  # noqa: D102
        rows = table("edge", ">largest", ">format", ">SQNR, dB", ">saturated")
        for name, values in self.integer.items():
            error = self.errors.get(name)
            more = (
                (error.format, f"{error.sqnr_db:.1f}", f"{error.saturated:.4%}")
                if error
                else ("", "", "")
            )
            rows.add_row(name, f"{np.abs(values).max(initial=0):.4g}", *more)
        return (rows,)


@dataclass(frozen=True, repr=False)
class Model(Shown):
    """A quantised model.

    Attributes:
        manifest: its integer program.
        lowering: the float model that it was made of; None for a model that was loaded.
    """

    manifest: Manifest
    lowering: "Lowering | None" = None

    @property
    def name(self) -> str:
        """Name of the model, and of its Verilog module."""
        return self.manifest.name

    @arguments
    def outputs(self, x: ArrayLike, length: ArrayLike | None = None) -> Codes:
        """The codes that leave the pipeline, (samples, outputs) or (samples, steps, outputs);
        arguments as of `predict`.

        Raises:
            SsmHdlError: samples that do not fit the model.
        """
        from ssm_hdl.sim.golden import run

        split = samples_of(self.manifest, x, length=length)
        return outputs_of(self.name, split, lambda codes: run(self.manifest, codes).outputs)

    @arguments
    def predict(self, x: ArrayLike, length: ArrayLike | None = None) -> NDArray[Any]:
        """What the integer program says: a class, or numbers in the unit of the labels.

        Args:
            x: (samples, steps, channels), in the unit that the model was trained on.
                Integers are codes.
            length: steps of each sequence, where they differ.

        Returns:
            Classes (samples,) or (samples, steps); of equal outputs the first counts.
            For regression, values (samples, targets) or (samples, steps, targets).

        Raises:
            SsmHdlError: samples that do not fit the model.
        """
        outputs, spec = self.outputs(x, length), self.manifest.graph.samples
        if spec is not None and spec.targets:
            return self.manifest.values(outputs)
        return (
            outputs[..., 0]
            if self.manifest.nodes[self.manifest.graph.output].choices
            else outputs.argmax(-1)
        )

    @arguments
    def score(self, x: ArrayLike, y: ArrayLike, length: ArrayLike | None = None) -> Score:
        """Scores of the integer program on labelled samples: accuracy and its like,
        or R2 and the mean squared error.

        Raises:
            SsmHdlError: samples or labels that do not fit the model.
        """
        need("sklearn")
        split = samples_of(self.manifest, x, y, length)
        return Score.of(evaluate_integer(self.manifest, split))

    @arguments
    def trace(self, x: ArrayLike) -> Trace:
        """The values of every edge, beside the float model's if `ssm_hdl.convert` made this one.

        All are in memory at once: a few sequences of one length.

        Raises:
            SsmHdlError: samples that do not fit the model.
        """
        from ssm_hdl.sim.golden import Result, run

        split = samples_of(self.manifest, x)
        codes, floating = list[Mapping[str, Codes]](), list[Mapping[str, NDArray[np.float64]]]()
        errors: Mapping[str, EdgeError] = {}
        if self.lowering is None:
            codes.append(run(self.manifest, split.codes, trace=True).trace)
        else:
            from ssm_hdl.sw.quantize import compare

            def keep(result: Result, reals: Mapping[str, NDArray[np.float64]]) -> None:
                codes.append(result.trace)
                floating.append(reals)

            errors = compare(
                self.manifest,
                self.lowering.wanted,
                self.lowering.checkpoint.inputs,
                split,
                keep=keep,
            )
        edges = {self.manifest.input.name: self.manifest.input} | {
            name: node.output for name, node in self.manifest.nodes.items()
        }
        integer = {name: values * edges[name].format.lsb for name, values in _joined(codes).items()}
        return Trace(integer, _joined(floating), errors)

    @arguments
    def plan(
        self,
        device: str = "generic",
        rate_hz: float | None = None,
        *,
        board: str | None = None,
        fastest: bool = False,
        clock_hz: float | None = None,
        dsp: int | None = None,
        latency: int | None = None,
        folding: Mapping[str, str | int] | None = None,
        share_layers: bool | None = None,
    ) -> Design:
        """The hardware that reaches a rate at least cost, or the fastest.

        Args:
            device: one of ``ssm-hdl generate --device``, such as ``up5k``, or ``generic`` for any.
            rate_hz: time steps per second to reach; the most that the DSP blocks give if left out.
            board: a board in place of a device; its serial shell is taken off the device.
            fastest: the most time steps per second that fit.
            clock_hz: of the pipeline; the board's or the device's if left out.
            dsp: limit of DSP blocks.
            latency: limit of the cycles from the last sample in to the last result out,
                of a step alone.
            folding: multipliers, or the folding, of stages that you decide.
            share_layers: the layers share one set of stages, or not;
                whatever is better if left out.

        Raises:
            SsmHdlError: no plan fits; the message has the numbers.
        """
        from ssm_hdl.families import find_device
        from ssm_hdl.gen.size.objective import NOTHING
        from ssm_hdl.gen.size.planner import plan_for

        on, reserve, target = find_device(device), NOTHING, None
        if board is not None:
            from ssm_hdl.boards.catalog import find_board
            from ssm_hdl.boards.resources import shell_use

            if device != "generic":
                raise UsageError(f"the board {board} has a device; leave the device {device} out")
            target = find_board(board)
            on, reserve = target.chip, shell_use(self.manifest, target)
            clock_hz = target.clock_hz if clock_hz is None else clock_hz
        sized = plan_for(
            self.manifest, on, rate_hz, fastest=fastest, clock_hz=clock_hz, dsp=dsp,
            latency=latency,
            folding={stage: str(number) for stage, number in (folding or {}).items()},
            share_layers=share_layers, reserve=reserve,
        )  # fmt: skip
        return Design(self.manifest, sized, target)

    @arguments
    def save(self, folder: Path | str) -> Path:
        """Write the manifest to a folder; `load` reads it.

        Raises:
            SsmHdlError: it cannot be written.
        """
        return self.manifest.save(folder)

    def parts(self) -> tuple[RenderableType, ...]:  # noqa: D102
        edge, output = self.manifest.input, self.manifest.output
        rows = table("operation", "op", "reads", ">size", "format")
        for node in self.manifest.nodes.values():
            rows.add_row(
                node.name,
                node.op.op,
                ", ".join(node.op.sources),
                f"{node.output.size}",
                f"{node.output.format}",
            )
        summary = {
            "samples": f"{edge.size} of {edge.format} per step, "
            f"up to {self.manifest.steps:,} steps",
            "results": f"{output.size} of {output.format} per "
            f"{'sequence' if output.per_sequence else 'step'}",
            "multiplications per step": f"{self.manifest.multiplications:,}",
        }
        return facts(f"{self.name}  {self.manifest.graph.description}".strip(), summary), rows


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The values of several batches by edge, as of one."""
    return {
        name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())
    }


@arguments
def load(path: Path | str) -> Model:
    """The model of a manifest.

    Args:
        path: ``manifest.yaml``, or the folder that holds it.

    Raises:
        SsmHdlError: the first thing that does not fit, with the way out.
    """
    return Model(Manifest.load(path))
