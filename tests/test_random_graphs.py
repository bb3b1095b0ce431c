# amaranth: UnusedElaboratable=no
"""Random manifests in random hardware: every bit and every cycle;
and all that `make fuzz` ever found."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from independent import Program
from random_graphs import fuzz, random_manifest, random_plan
from random_graphs.check import check_models, check_netlist, check_rtl
from random_graphs.stored import load

from ssm_hdl import workers
from ssm_hdl.files import read_json

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


@pytest.mark.parametrize("most", [2, 4, 6])
def test_small_graphs(most):
    sizes = {len(random_manifest(Random(seed), most).nodes) for seed in range(12)}
    assert len(sizes) > 1 and most // 2 <= max(sizes) <= most


def test_levels_keep_their_results(tmp_path):
    """Two runs at a time, in one file."""
    path = tmp_path / "fuzz.json"
    with ThreadPoolExecutor(2) as threads:
        for _ in threads.map(
            lambda level: [fuzz.record(path, {f"{level} {n}": n}) for n in range(20)],
            ("rtl", "netlists"),
        ):
            pass
    assert read_json(path) == {
        f"{level} {n}": n for level in ("rtl", "netlists") for n in range(20)
    }


def test_workers_compile_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = []
    for _ in range(2):
        with workers.pool(1) as pool:
            folders.append(pool.submit(fuzz.own_cache).result())
    assert folders[0] != folders[1] and all(tmp_path in folder.parents for folder in folders)


def test_what_is_found_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "FOUND", tmp_path)
    monkeypatch.setattr(
        Program, "slice", lambda self, op, y, x: (packet[: op["size"]] for packet in x.packets)
    )
    counts = next(
        counts
        for number in range(9)
        if (counts := fuzz.batch("models", number, shrink=False))["differences"]
    )
    (folder,) = tmp_path.iterdir()
    manifest, plan = load(folder)
    assert plan is None and counts["graphs"] < fuzz.GRAPHS
    with pytest.raises(AssertionError, match="difference: the independent model"):
        check_models(manifest)
