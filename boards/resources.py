"""Whether a model fits a board, before anything is synthesised."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.catalog import BOARDS
from ssm_hdl.boards.protocol import element_bytes, frame_steps
from ssm_hdl.gateware.memories import DEFAULT
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.objective import Use

SHELL_LUTS, SHELL_FLIP_FLOPS = 500, 350
"""Those of the serial line and the frames around a pipeline, without its sample buffer;
measured, rounded up."""

LUT_DOUBT = 4 / 3
"""How much too high the estimate of LUTs may be; a design is refused when even less than
that does not fit."""


@dataclass(frozen=True)
class Usage:
    """How much of something a design takes.

    Attributes:
        used: what it takes.
        available: what the device has.
    """

    used: int
    available: int

    def __str__(self) -> str:
        return f"{self.used:,} of {self.available:,}"


def expect(manifest: Manifest, plan: Plan, board: Board) -> dict[str, Usage]:
    """What a design will take: ``multipliers``, ``block RAMs`` and ``SPRAMs`` exactly,
    ``LUTs`` by estimate."""
    report, shell = estimate(manifest, plan, timed=False), shell_use(manifest, board)
    return {
        "multipliers": Usage(report.dsp, board.chip.dsps),
        "block RAMs": Usage(
            report.block_rams[board.family.name] + int(shell.rams), board.chip.rams
        ),
        "SPRAMs": Usage(report.sprams, board.chip.sprams),
        "LUTs": Usage(report.luts + int(shell.luts), board.chip.luts),
    }


def shell_use(manifest: Manifest, board: Board) -> Use:
    """What is around a pipeline: the serial line, the frames,
    and the buffer of a request's samples."""
    bytes_ = frame_steps(manifest) * manifest.input.size * element_bytes(manifest.input)
    buffer = DEFAULT.ram("samples", bytes_, 8)
    return Use(SHELL_LUTS, SHELL_FLIP_FLOPS, 0, board.family.rams.blocks(buffer))


def check_expected(manifest: Manifest, plan: Plan, board: Board) -> dict[str, Usage]:
    """`expect`, refused if it does not fit.

    Raises:
        SsmHdlError: the device has too few of something; the message holds the numbers.
    """
    usage = expect(manifest, plan, board)
    limits = {
        name: use.available * (LUT_DOUBT if name == "LUTs" else 1) for name, use in usage.items()
    }
    beyond = {name: use for name, use in usage.items() if use.used > limits[name]}
    check(
        manifest.name,
        board,
        usage,
        beyond,
        _memory(manifest, plan, board, beyond) if "block RAMs" in beyond else "",
    )
    return usage


def _memory(manifest: Manifest, plan: Plan, board: Board, beyond: Mapping[str, Usage]) -> str:
    """By how many bits the block RAMs are too few, and which boards have enough of them."""
    rams = beyond["block RAMs"]
    bits = (rams.used - rams.available) * board.family.rams.bits
    bare = replace(
        plan, stages={name: replace(stage, spram=()) for name, stage in plan.stages.items()}
    )
    boards = [larger.title for larger in BOARDS.values() if _holds(manifest, bare, larger)]
    return (
        f"; its memories are {bits:,} bits too many in block RAMs, "
        f"which {' or '.join(boards) or 'no board here'} would hold"
    )


def _holds(manifest: Manifest, plan: Plan, board: Board) -> bool:
    rams = expect(manifest, plan, board)["block RAMs"]
    return rams.used <= rams.available


def check(
    model: str,
    board: Board,
    usage: Mapping[str, Usage],
    beyond: Mapping[str, Usage],
    more: str = "",
) -> None:
    """Refuse a design that takes more than there is.

    Args:
        model: name of the model.
        board: the board.
        usage: what it takes.
        beyond: what of it is too much.
        more: the end of the message.

    Raises:
        SsmHdlError: ``beyond`` is not empty.
    """
    if not beyond:
        return
    missing = ", ".join(
        f"{use.used:,} {name} where the {board.device} has {use.available:,}"
        for name, use in beyond.items()
    )
    others = ", ".join(f"{use} {name}" for name, use in usage.items() if name not in beyond)
    remedies = "a larger board, a smaller model, narrower formats"
    if set(beyond) & {"multipliers", "LUTs"}:
        remedies += ", or fewer multipliers (--dsp)"
    raise SsmHdlError(
        f"{model} does not fit the {board.title}: it takes {missing} (and {others}); "
        f"{remedies}{more}"
    )
