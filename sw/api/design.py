"""A model on a device: its plan with the report, its Verilog, its simulation, its bitstream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike
from rich.console import RenderableType

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.gen.report import Report
from ssm_hdl.gen.size.planner import Sized
from ssm_hdl.gen.verilog import generate, weights, write
from ssm_hdl.identifiers import module_name
from ssm_hdl.sw.api.arguments import arguments
from ssm_hdl.sw.api.samples import samples_of
from ssm_hdl.sw.api.shown import Shown

if TYPE_CHECKING:
    from ssm_hdl.boards.board import Board
    from ssm_hdl.boards.build import BuildReport
    from ssm_hdl.sim.compare import Comparison


@dataclass(frozen=True, repr=False)
class Design(Shown):
    """The hardware of a model.

    Attributes:
        manifest: the integer program.
        sized: its plan for a device, and the estimates.
        board: the board that it was planned for, if any.
    """

    manifest: Manifest
    sized: Sized
    board: "Board | None" = None

    @property
    def report(self) -> Report:
        """Cycles, latencies, multipliers, memories and LUTs, as a whole and by stage."""
        return self.sized.report

    @arguments
    def verilog(self, name: str = "", wrap: str = "") -> str:
        """The Verilog, one file for any tool.

        Args:
            name: of the module; the model's if left out.
            wrap: ``axi-stream``, ``lite``, ``wishbone`` or ``spi`` in place of the streams.

        Raises:
            SsmHdlError: no module can have this name, or there is no such wrapper.
        """
        name = module_name(name or self.manifest.name)
        return generate(self.manifest, self.sized.plan, name=name, report=self.report, wrap=wrap)

    @arguments
    def write(self, path: Path | str, name: str = "", wrap: str = "") -> dict[str, Path]:
        """Write the Verilog, and beside it the weights that a host has to load, if there are any;
        arguments as of `verilog`.

        Returns:
            The files, ``verilog`` and maybe ``weights``.

        Raises:
            SsmHdlError: a file cannot be written.
        """
        path = Path(path)
        if not path.name:
            raise UsageError(
                f"cannot write Verilog into {str(path)!r}; name a file, "
                f"such as {self.manifest.name}.v"
            )
        return write(path, self.verilog(name, wrap), weights(self.manifest, self.sized.plan))

    @arguments
    def simulate(
        self, x: ArrayLike, stalls: float = 0.0, seed: int = 0, netlist: bool = False
    ) -> "Comparison":
        """Run samples through the RTL, and compare every output with the golden model;
        then again under stress, as the command.

        Stress is stalls, a reset within a sequence, short sequences,
        and the codes at the ends of the format.

        Args:
            x: (samples, steps, channels), in the unit that the model was trained on.
                Integers are codes.
            stalls: chance of a stall in every cycle, at both ends.
            seed: of the stalls.
            netlist: simulate the netlist after synthesis for the family of the device,
                in place of the RTL.

        Returns:
            What was compared. ``equal`` says whether nothing differs,
            ``stress`` is the part under stress.

        Raises:
            SsmHdlError: samples that do not fit, a tool is missing, or the pipeline is stuck.
        """
        from ssm_hdl.sim.compare import compare
        from ssm_hdl.sim.netlist import netlist_model
        from ssm_hdl.sim.stress import stress
        from ssm_hdl.sim.verilated import VerilatedModel

        plan = self.sized.plan
        model = (
            netlist_model(self.manifest, plan.family, plan)
            if netlist
            else VerilatedModel(self.manifest, plan)
        )
        codes = self.manifest.check_samples(samples_of(self.manifest, x).codes)
        compared = compare(self.manifest, model, codes, stalls=stalls, seed=seed)
        return replace(compared, stress=stress(self.manifest, model, codes, seed))

    @arguments
    def build(
        self,
        folder: Path | str,
        progress: Callable[[str], None] = lambda line: None,
        *,
        seeds: Sequence[int] | None = None,
        jobs: int = 1,
    ) -> "BuildReport":
        """Build the bitstream for the board and the clock that this was planned for.

        Args:
            folder: for the bitstream, its report and the logs.
            progress: told what begins or ends.
            seeds: of place and route, to try until the timing is met; 1 to 8 if left out.
            jobs: seeds that are tried side by side, on as many cores.

        Raises:
            SsmHdlError: there is no board, it does not fit, or the clock is not reached.
        """
        need("pyosys", "amaranth_boards")
        from ssm_hdl.boards.build import SEEDS, build

        if self.board is None:
            raise UsageError(
                f"{self.manifest.name} was planned for a device; plan it with board=... "
                "to build a bitstream"
            )
        clock_hz = self.sized.clock_hz
        return build(
            self.manifest, self.board, folder, clock_hz=clock_hz, plan=self.sized.plan,
            progress=progress, seeds=SEEDS if seeds is None else seeds, jobs=jobs,
        )  # fmt: skip

    @arguments
    def draw(self, path: Path | str) -> Path:
        """Draw the pipeline, into a file that ends in .svg, .png or .pdf.

        Raises:
            SsmHdlError: another ending, or it cannot be written.
        """
        need("matplotlib")
        from ssm_hdl.sw.draw import draw

        return draw(self.manifest, self.sized.plan, path)

    @arguments
    def roofline(self, path: Path | str) -> Path:
        """Draw the plan under the limits of its device.

        Raises:
            SsmHdlError: a device without limits, another ending, or it cannot be written.
        """
        need("matplotlib")
        from ssm_hdl.sw.roofline import draw

        if not self.sized.device.bounded:
            raise UsageError(
                "a roofline has the limits of a device; plan for one, such as device='up5k'"
            )
        return draw(self.sized, Path(path))

    def picture(self) -> str:
        """The pipeline as SVG; empty where matplotlib is not installed."""
        if find_spec("matplotlib") is None:
            return ""
        from ssm_hdl.sw.draw import svg

        return svg(self.manifest, self.sized.plan)

    def parts(self) -> tuple[RenderableType, ...]:  # noqa: D102
        from ssm_hdl.sw.cli.generate import tables

        return tables(self.report)
