# amaranth: UnusedElaboratable=no
"""Random manifests in random hardware: every bit and every cycle; and all that `make fuzz` ever found."""

from pathlib import Path
from random import Random

import pytest
from independent import Program
from random_graphs import fuzz, random_manifest, random_plan
from random_graphs.check import check_models, check_netlist, check_rtl
from random_graphs.stored import load

FOUND = sorted(path for path in Path(__file__).with_name("found").glob("*") if path.is_dir())


@pytest.mark.parametrize("seed", range(30))
def test_rtl(seed, cache):
    dice = Random(seed)
    manifest = random_manifest(dice, most=12)
    assert check_rtl(manifest, random_plan(manifest, dice), cache)


@pytest.mark.parametrize("family,seed", [("ice40", 1), ("ecp5", 2)])
def test_netlist(family, seed, cache):
    dice = Random(seed)
    manifest = random_manifest(dice, most=4)
    assert check_netlist(manifest, random_plan(manifest, dice, family=family), cache)


@pytest.mark.parametrize("folder", FOUND, ids=lambda folder: folder.name)
def test_found(folder, cache):
    manifest, plan = load(folder)
    assert check_models(manifest)
    if plan is not None:
        assert check_rtl(manifest, plan, cache)


def test_what_is_found_is_shrunk_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "FOUND", tmp_path)
    monkeypatch.setattr(Program, "slice", lambda self, op, y, x: (packet[: op["size"]] for packet in x.packets))
    counts = next(counts for number in range(9) if (counts := fuzz.batch("models", number))["differences"])
    (folder,) = tmp_path.iterdir()
    manifest, plan = load(folder)
    assert plan is None and counts["graphs"] < fuzz.GRAPHS and len(manifest.nodes) <= 6
    with pytest.raises(AssertionError, match="difference: the independent model"):
        check_models(manifest)
