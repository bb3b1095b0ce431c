"""Tables of checks: RTL against the golden model, proofs, mutants and soak runs."""

from collections.abc import Iterable

from result_tables import Row, count, results, table

PROPERTIES = ("protocol", "order", "excess", "progress", "room")
"""What is proved of components."""


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


@table(
    "level", "graphs", "operations", "outputs", "differences", "hangs", "figures unequal", "errors"
)
def fuzz() -> Iterable[Row]:
    """Random graphs, by where they ran."""
    kinds = (
        "graphs",
        "operations",
        "outputs",
        "differences",
        "hangs",
        "figures unequal",
        "tracebacks",
    )
    for level, row in results("fuzz").items():
        yield f"`{level}`", *(count(row[kind]) for kind in kinds)


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


@table("models", "frames", "run", "refused", "bytes too many", "resets", "cycles")
def soak_shell() -> Iterable[Row]:
    """The frames of the shell; a run stops at the first difference."""
    row = results("soak-shell")["shell"]
    faults = ("damaged", "other_model", "bad_length", "out_of_range", "broken_off")
    refused = sum(row[kind] for kind in faults)
    figures = (row["models"], row["frames"], row["ok"], refused, row["overrun"], row["resets"])
    yield *map(count, figures), count(row["cycles"])
