"""Tables of pipelines and bitstreams: their cells, clocks and rates."""

from collections.abc import Iterable
from typing import Any

from result_tables import Row, count, percent, results, table
from result_tables.models import quantized


@table("manifest", "stages", "LUTs", "DSP blocks", "block RAMs", "cycles per step", "latency")
def hardware() -> Iterable[Row]:
    """ECP5 cells and cycles of the models."""
    for name, row in quantized():
        for stages in ("own", "shared"):
            if stages in row:
                yield hardware_row(name, stages, row[stages])


def hardware_row(name: str, stages: str, pipeline: dict[str, Any]) -> Row:
    """One pipeline."""
    cells = pipeline["ecp5"]
    figures = (
        cells["LUTs"],
        cells["multipliers"],
        cells["block RAMs"],
        pipeline["cycles"],
        pipeline["latency"],
    )
    return f"`{name}`", stages, *map(count, figures)


@table("manifest", "stages", "LUTs", "DSP blocks", "block RAMs", "cycles per step", "latency")
def shared() -> Iterable[Row]:
    """The same model with stages of its own and with shared ones."""
    for name, row in quantized():
        if "shared" in row and not name.endswith(("qat", "a6")):
            yield hardware_row(name, "own", row["own"])
            yield hardware_row(name, "shared", row["shared"])


def bench(key: str) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Rows of the benchmark, with model and device."""
    for row in results("bench")[key]:
        yield f"`{row['manifest']}`", row["device"], row


@table("model", "device", "cycles per step", "steps per second", "clock, MHz", "busy %")
def speed() -> Iterable[Row]:
    """What sized pipelines reach."""
    for model, device, row in bench("rows"):
        clock = f"{row['clock_mhz']:.1f}"
        yield (
            model,
            device,
            count(row["cycles_planned"]),
            count(row["steps_per_second"]),
            clock,
            percent(row["utilisation"], 1),
        )


@table(
    "model",
    "device",
    "DSP blocks",
    "multipliers in them",
    "of LUTs",
    "LUTs",
    "LUTs per multiplier",
    "latency",
)
def size() -> Iterable[Row]:
    """What sized pipelines take, with the shell of the board."""
    for model, device, row in bench("rows"):
        luts, in_blocks, of_luts = (
            row["usage"]["LUTs"]["used"],
            row["dsp_multipliers"],
            row["lut_multipliers"],
        )
        figures = (
            row["dsp_blocks"],
            in_blocks,
            of_luts,
            luts,
            luts / (in_blocks + of_luts),
            row["latency"],
        )
        yield model, device, *map(count, figures)


@table(
    "model",
    "device",
    "cycles per step",
    "G products per second",
    "of all DSP blocks %",
    "clocks of three seeds, MHz",
)
def limit() -> Iterable[Row]:
    """Products per second against those of all DSP blocks."""
    for model, device, row in bench("rows"):
        products = f"{row['multiplications_per_second'] / 1e9:.2f}"
        seeds = ", ".join(f"{clock:.1f}" if clock else "-" for clock in row["clocks_mhz"])
        yield (
            model,
            device,
            count(row["cycles_planned"]),
            products,
            percent(row["share_of_limit"], 0),
            seeds,
        )


@table(
    "model",
    "device",
    "cycles per step",
    "DSP blocks",
    "multipliers in them",
    "of LUTs",
    "busy %",
    "LUTs",
    "flip-flops",
)
def largest() -> Iterable[Row]:
    """As large as fits; LUTs and flip-flops are estimates."""
    for model, device, row in bench("largest"):
        multipliers = (
            row[key]
            for key in ("cycles_planned", "dsp_blocks", "dsp_multipliers", "lut_multipliers")
        )
        cells = row["luts_estimated"], row["flip_flops_estimated"]
        yield (
            model,
            device,
            *map(count, multipliers),
            percent(row["utilisation"], 1),
            *map(count, cells),
        )


@table(
    "bitstream",
    "clock asked, MHz",
    "reached",
    "LUTs",
    "DSP blocks",
    "block RAMs",
    "cycles per step",
    "steps per second",
)
def bitstreams() -> Iterable[Row]:
    """Bitstreams that meet their clock."""
    for name, row in (
        results("bitstreams")
        | {f"{name}-icebreaker": results(name)["icebreaker"] for name in ("deep", "har")}
    ).items():
        clocks = f"{row['clock_asked_mhz']:g}", f"{row['clock_reached_mhz']:.2f}"
        figures = (row[key]["used"] for key in ("luts", "multipliers", "block_rams"))
        yield (
            name,
            *clocks,
            *map(count, (*figures, row["cycles_per_step"], row["steps_per_second"])),
        )


@table("model", "widths", "accuracy %", "board", "LUTs", "DSP blocks", "steps per second")
def digest() -> Iterable[Row]:
    """One bitstream of each kind of model."""
    accuracies, built = results("accuracy"), results("bitstreams")
    for model, widths, accuracy, row in (
        (
            "S4D, digits of 8 x 8",
            "W8A8",
            accuracies["digits-integer"]["accuracy"],
            built["digits-icebreaker"],
        ),
        (
            "S4D-16h, MNIST",
            "W8A8",
            accuracies["s4d-16h-integer"]["accuracy"],
            built["s4d-16h-icebreaker"],
        ),
        (
            "S4D-16h of 4 layers, MNIST",
            "W4A8",
            results("deep")["w4a8"]["accuracy"],
            results("deep")["icebreaker"],
        ),
        (
            "S5 of 4 layers, MNIST",
            "W4A8",
            results("s5")["s5-mnist-w4a8"]["accuracy"],
            built["s5-mnist-shared-ulx3s-25f"],
        ),
        ("S5, a sensor", "W8A8", results("har")["w8a8"]["accuracy"], results("har")["icebreaker"]),
        ("Mamba of 2 layers, a text", "W8A8", None, built["mamba-text-w8a8-ulx3s-25f"]),
    ):
        cells = (row["luts"]["used"], row["multipliers"]["used"], row["steps_per_second"])
        yield model, widths, percent(accuracy), row["board"], *map(count, cells)


@table(
    "board",
    "device",
    "clock asked, MHz",
    "reached",
    "cycles per step",
    "LUTs",
    "multipliers",
    "block RAMs",
)
def built() -> Iterable[Row]:
    """Digits on every board."""
    for name, row in results("boards").items():
        clocks = f"{row['clock_asked_mhz']:g}", f"{row['clock_reached_mhz']:.2f}"
        figures = (row[kind]["used"] for kind in ("luts", "multipliers", "block_rams"))
        yield f"`{name}`", row["device"], *clocks, *map(count, (row["cycles_per_step"], *figures))


@table(
    "model",
    "board",
    "clock asked, MHz",
    "reached",
    "cycles per token",
    "tokens per second",
    "LUTs",
    "DSP blocks",
    "RAMs",
)
def mambas() -> Iterable[Row]:
    """Bitstreams of Mambas that meet their clock."""
    rows = results("mamba-hardware")
    for key, model in {
        "kws": "keyword model of MambaLite-Micro, `mamba-w8a8`",
        "mamba-20": "D 20, N 8, two blocks, `mamba-w8a8`",
        "text-w8a8": "text, `mamba-w8a8`",
        "mamba-16": "D 16, N 4, one block of two taps without norms, `mamba-plain`",
    }.items():
        if row := rows.get(key):
            clocks = f"{row['clock_asked_mhz']:g}", f"{row['clock_reached_mhz']:.2f}"
            figures = (row[kind]["used"] for kind in ("luts", "multipliers", "block_rams"))
            yield (
                model,
                row["board"],
                *clocks,
                *map(count, (row["cycles_per_step"], row["steps_per_second"], *figures)),
            )
