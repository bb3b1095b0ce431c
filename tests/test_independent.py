"""The golden model, QAT's forward pass and a second model, written from docs/manifest.md alone,
give the same bits."""

from pathlib import Path
from random import Random

import pytest
from random_graphs import random_manifest
from random_graphs.check import check_models

from ssm_hdl import Manifest, registry

MANIFESTS = Path(__file__).parents[1] / "manifests"


@pytest.mark.parametrize(
    "name", ["digits", "har-w4a8", "s4d-16h-w4a6x6", "s5-mnist-16h-w4a8", "mamba-text-w4a8"]
)
def test_committed_manifests(name):
    assert check_models(Manifest.load(MANIFESTS / name))


def test_random_manifests_of_every_operation():
    operations = set()
    for seed in range(30):
        manifest = random_manifest(Random(seed))
        operations |= {node.op.op for node in manifest.nodes.values()}
        assert check_models(manifest)
    assert operations == set(registry.names())


def test_formats_up_to_the_limits():
    """What is not refused is exact, whatever its widths and however far its binary
    points are apart."""
    widest = 0
    for seed in range(40):
        manifest = random_manifest(Random(seed), far=True)
        widest = max(widest, *(node.accumulator.width for node in manifest.nodes.values()))
        assert check_models(manifest)
    assert widest >= 60
