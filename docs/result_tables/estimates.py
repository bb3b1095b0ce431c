"""Tables of the estimates of LUTs, flip-flops, DSP blocks and block RAMs, beside synthesis."""

from collections.abc import Iterable

from result_tables import Row, count, percent, results, table


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
