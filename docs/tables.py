"""Tables in README.md and docs/: of results, from results/*.json, and of what the code lists.

``python docs/tables.py`` writes them between their marks. With ``--check``,
exit status 1 says that a page is stale.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
Row = Iterable[str]


def results(name: str) -> Any:
    """A file of results."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one, or a dash."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def count(number: float | None) -> str:
    """A number with commas, or a dash."""
    return "-" if number is None else f"{number:,.0f}"


def table(*header: str) -> Callable[[Callable[[], Iterable[Row]]], Callable[[], str]]:
    """A function that yields rows becomes one that returns Markdown."""

    def decorate(rows: Callable[[], Iterable[Row]]) -> Callable[[], str]:
        def text() -> str:
            return "".join(
                f"| {' | '.join(row)} |\n" for row in (header, ["---"] * len(header), *rows())
            )

        return text

    return decorate


def quantized() -> Iterable[tuple[str, dict[str, Any]]]:
    """The quantised models, by name."""
    for name in ("s4d", "s5", "s5-listops"):
        yield from results(name).items()


PROPERTIES = ("protocol", "order", "excess", "progress", "room")
"""What is proved of components."""

HEADLINES = (
    *(
        "s4d-16h-w8a8x8",
        "s4d-16h-w4a6x8",
        "s4d-16h-w4a6x8-qat",
        "s4d-64h-w4a6x8",
        "s4d-64h-a4x8-qat",
        "s4d-64h-tenth-qat",
    ),
    *(
        "s5-mnist-w8a8x8",
        "s5-mnist-w4a8",
        "s5-mnist-w4a8-qat",
        "s5-mnist-16h-w4a8",
        "s5-listops-w8a8x8-qat",
    ),
)
"""Models that README.md shows."""


def accuracies(names: Collection[str] = ()) -> Iterable[Row]:
    """Accuracy beside the papers' figures for the same widths."""
    for name, row in quantized():
        training, paper = row["row"]["training"], row["paper"]
        epochs = f"{training['epochs']} epoch{'s' * (training['epochs'] > 1)}" if training else "-"
        papers = (
            f"{paper[key]:.2f}" if paper.get(key) else "-" for key in ("untrained", "trained")
        )
        if not names or name in names:
            yield f"`{name}`", epochs, *papers, percent(row["accuracy"]), count(row["images"])


@table("manifest", "QAT", "paper PTQ %", "paper QAT %", "ours %", "samples")
def accuracy() -> Iterable[Row]:
    """All models."""
    return accuracies()


@table("manifest", "QAT", "paper PTQ %", "paper QAT %", "ours %", "samples")
def headlines() -> Iterable[Row]:
    """The models of `HEADLINES`."""
    return accuracies(HEADLINES)


@table("manifest", "paper, bytes", "paper's count, bytes", "every bit, bytes")
def memory() -> Iterable[Row]:
    """Memory of the models."""
    for name, row in quantized():
        yield (
            f"`{name}`",
            count(row["paper"].get("bytes")),
            count(row["memory"]["paper"]),
            count(row["memory"]["ours"]),
        )


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


@table("pipeline", "LUTs", "estimated", "flip-flops", "estimated ", "DSP blocks", "block RAMs")
def estimates() -> Iterable[Row]:
    """Estimates beside synthesis."""
    for name, row in results("estimates").items():
        cells: list[str] = []
        for kind in ("LUTs", "flip-flops"):
            cells += (
                count(row[kind]["synthesised"]),
                f"{row[kind]['estimated']:,} ({row[kind]['error']:+.0%})",
            )
        for kind in ("multipliers", "block RAMs"):
            done, estimated = row[kind]["synthesised"], row[kind]["estimated"]
            cells.append(count(done) if done == estimated else f"{done:,}, estimated {estimated:,}")
        yield name, *cells


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


@table("model", "arithmetic", "correct", "of", "%")
def floats() -> Iterable[Row]:
    """Accuracy of float and integer models."""
    deep = results("deep")
    for row in (*results("accuracy").values(), *(deep[key] for key in ("float", "w8a8x8", "w4a8"))):
        yield (
            Path(row["path"]).stem,
            row["arithmetic"],
            *map(count, (row["correct"], row["sequences"])),
            percent(row["accuracy"]),
        )


@table(
    "model",
    "six activities %",
    "six transitions %",
    "labelled steps %",
    "saturated elements per million",
)
def har() -> Iterable[Row]:
    """HAPT: the mean recall of the activities and of the transitions,
    on whole recordings of the test users."""
    for key, name in {"float": "float", "w8a8": "W8A8", "w4a8": "W4A8"}.items():
        row = results("har")[key]
        recalls = (percent(sum(row["recall"][part]) / 6) for part in (slice(6), slice(6, 12)))
        saturated, stored = (sum(row[what].values()) for what in ("saturations", "elements"))
        yield (
            name,
            *recalls,
            percent(row["accuracy"]),
            f"{1e6 * saturated / stored:.1f}" if stored else "-",
        )


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


@table(
    "recipe",
    "bits of the input of `out`",
    "bits per character",
    "loss %",
    "paper: loss of accuracy %",
)
def ablation() -> Iterable[Row]:
    """Recipes of a language model, against the float model;
    those of the paper are relative, too."""
    model = results("mamba")["mamba-text"]
    papers = {
        "mamba-plain-8": 1 - 45.92 / 63.1,
        "mamba-quamba-8": 1 - 62.2 / 63.1,
        "mamba-w4a8-8": 1 - 61.4 / 63.1,
    }
    yield "float", "-", f"{model['float']['bits']:.3f}", "-", "-"
    for key, row in model["rows"].items():
        yield (
            f"`{row['recipe']}`",
            str(row["width"]),
            f"{row['bits']:.3f}",
            percent(row["relative"]),
            percent(papers.get(key), 1),
        )


@table("state", "256 steps", "4,096", "65,536")
def latching() -> Iterable[Row]:
    """Accuracy in % on induction heads by rounding and width of the state: the mean over seeds,
    and the range."""
    models = list(results("latching")["models"].values())
    for name in models[0]:
        cells = ([100 * model[name][steps] for model in models] for steps in models[0][name])
        shown = (
            f"{sum(cell) / len(cell):.0f} ({min(cell):.0f} to {max(cell):.0f})" for cell in cells
        )
        yield {"none": "not rounded"}.get(name, name), *shown


@table("recipe", "8 bits: loss %", "12 bits: loss %")
def seeds() -> Iterable[Row]:
    """The same of a smaller model: the mean over its seeds, and the range."""
    models = [model["rows"] for name, model in results("mamba").items() if name != "mamba-text"]
    for recipe in dict.fromkeys(row["recipe"] for row in models[0].values()):
        losses = (
            [100 * rows[f"{recipe}-{width}"]["relative"] for rows in models] for width in (8, 12)
        )
        yield (
            f"`{recipe}`",
            *(
                f"{sum(loss) / len(loss):.2f} ({min(loss):.2f} to {max(loss):.2f})"
                for loss in losses
            ),
        )


@table("models", "simulated", "samples", "outputs", "differences")
def equality() -> Iterable[Row]:
    """RTL and netlists against the golden model."""
    for row in results("rtl").values():
        simulated = {"rtl": "RTL"}.get(row["simulated"], f"{row['simulated']} netlist")
        yield (
            row["name"].replace("_", "-"),
            simulated,
            *(count(row[key]) for key in ("sequences", "elements", "differences")),
        )
    for run, what in (("rtl", "RTL of the iCEBreaker"), ("rtl-all", "RTL, 28 DSP blocks")):
        yield (
            "har-w8a8",
            what,
            *(count(results("har")[run][key]) for key in ("sequences", "elements", "differences")),
        )
    deep = results("deep")["rtl"]
    yield (
        "s4d-deep-16h-w8a8x8",
        "RTL, shared stages",
        *(count(deep[key]) for key in ("sequences", "elements", "differences")),
    )
    tokens = {
        "induction": "`mamba-induction-w8a8x8-qat`, 65,536 tokens",
        "rtl": "a Mamba of D = 4, 1,000,000 tokens",
    }
    for key, row in results("million").items():
        yield (
            tokens[key],
            "RTL",
            *(count(row[kind]) for kind in ("sequences", "elements", "differences")),
        )
    for name in ("s4d", "s5", "s5-listops"):
        for stages in ("own", "shared"):
            runs = [row[stages]["rtl"] for row in results(name).values() if stages in row]
            sums = (sum(run[key] for run in runs) for key in ("images", "outputs", "differences"))
            if runs:
                yield f"{name}, {len(runs)} manifests", f"RTL, {stages} stages", *map(count, sums)


@table("what", "largest error %")
def errors() -> Iterable[Row]:
    """Largest errors of the estimates."""
    for kind in ("LUTs", "flip-flops", "multipliers", "block RAMs"):
        error = max(abs(row[kind]["error"]) for row in results("estimates").values())
        yield {"multipliers": "DSP blocks"}.get(kind, kind), percent(error, 1) if error else "0"


@table("family", "single stages", "LUTs, mean error %", "flip-flops, mean error %")
def stages() -> Iterable[Row]:
    """Mean errors of the estimates of single stages."""
    rows = results("stages")
    for family in sorted({row["family"] for row in rows}, reverse=True):
        own = [row for row in rows if row["family"] == family]
        errors = (
            sum(abs(row["estimates"][place] / max(row[kind], 1) - 1) for row in own) / len(own)
            for place, kind in enumerate(("luts", "flip_flops"))
        )
        yield family, count(len(own)), *(percent(error, 1) for error in errors)


@table("component", *PROPERTIES, "faults found", "harmless")
def proofs() -> Iterable[Row]:
    """What is proved of components, and the faults in them that a property finds."""
    for name, row in results("proofs").items():
        verdicts = (row.get(each, "-").removeprefix("holds for ") for each in PROPERTIES)
        faults = row.get("mutants")
        found = [str(faults[key]) for key in ("found", "harmless")] if faults else ["-", "-"]
        yield name, *verdicts, *found


@table("model", "faults", "killed", "same bits in other cycles", "proved equal", "not known")
def mutants() -> Iterable[Row]:
    """Faults in the Verilog of small models, and what `simulate` makes of them."""
    for name, row in results("mutants").items():
        killed = sum(number for what, number in row.items() if what.startswith("killed"))
        figures = (
            row["faults"],
            killed,
            row.get("timing", 0),
            row.get("equivalent", 0),
            row.get("survived", 0),
        )
        yield f"`{name}`", *map(count, figures)


@table("of", "drawn", "killed", "change nothing", "not known")
def python_mutants() -> Iterable[Row]:
    """Changes of the Python, and what the tests make of them."""
    for name, row in results("python-mutants").items():
        equal = sum(bool(each["equivalent"]) for each in row["survivors"])
        yield name, *map(count, (row["drawn"], row["killed"], equal, len(row["survivors"]) - equal))


@table("manifests", "cycles", "sequences", "outputs", "resets", "differences")
def soak() -> Iterable[Row]:
    """The sums over all manifests."""
    rows = list(results("soak").values())
    sums = (
        sum(row.get(kind, 0) for row in rows)
        for kind in ("cycles", "sequences", "elements", "resets", "differences")
    )
    yield count(len(rows)), *map(count, sums)


def presets() -> str:
    """The models that `ssm-hdl train` knows, from its code."""
    from ssm_hdl.sw.presets import COLUMNS, rows

    return table(*COLUMNS)(lambda: ((f"`{name}`", *sizes) for name, *sizes in rows()))()


TABLES = {
    "digest": digest,
    "floats": floats,
    "equality": equality,
    "errors": errors,
    "har": har,
    "ablation": ablation,
    "seeds": seeds,
    "latching": latching,
    "built": built,
    "mambas": mambas,
    "accuracy": accuracy,
    "headlines": headlines,
    "memory": memory,
    "hardware": hardware,
    "shared": shared,
    "speed": speed,
    "size": size,
    "limit": limit,
    "largest": largest,
    "estimates": estimates,
    "stages": stages,
    "bitstreams": bitstreams,
    "proofs": proofs,
    "mutants": mutants,
    "python_mutants": python_mutants,
    "soak": soak,
    "presets": presets,
}
"""By the name in their mark."""


def filled(page: str) -> str:
    """A page with its tables."""
    return re.sub(
        r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)",
        lambda mark: mark[1] + TABLES[mark[2]]() + mark[3],
        page,
        flags=re.DOTALL,
    )


def main() -> int:
    """Write or check every page."""
    stale = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        page = path.read_text(encoding="utf-8")
        if (text := filled(page)) != page:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    print(
        *(f"{path}: {'stale' if '--check' in sys.argv else 'written'}" for path in stale), sep="\n"
    )
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
