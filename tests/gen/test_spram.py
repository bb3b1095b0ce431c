"""Which tables go to SPRAM, and what the Verilog and its image say of it."""

from ssm_hdl import Manifest
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.spram import spill
from ssm_hdl.gen.verilog import generate, weights


def test_the_largest_tables_go_first_and_only_as_many_as_have_to():
    manifest = Manifest.load("manifests/s4d-64h-w4a6x8")
    plan = Plan.fit(manifest, 8, "ice40")
    placed = {
        rams: {name: stage.spram for name, stage in spill(manifest, plan, rams).stages.items() if stage.spram}
        for rams in (50, 49, 40, 39, 0)
    }
    assert placed[50] == {}
    assert placed[49] == placed[40] == {"ssm": ("code",)}
    assert placed[39] == {"ssm": ("code",), "mixing": ("weight",)}
    assert placed[0] == {"ssm": ("code",), "readout": ("weight",), "mixing": ("weight",)}
    report = estimate(manifest, spill(manifest, plan, 30))
    assert (report.block_rams["ice40"], report.sprams) == (27, 4)
    assert report.cycles == estimate(manifest, plan).cycles
    assert report.latency_alone == estimate(manifest, plan).latency_alone


def test_only_the_ice40has_them(random_manifest):
    manifest = random_manifest(channels=16, modes=9)
    for target in ("generic", "ecp5"):
        plan = Plan.fit(manifest, 12, target)
        assert spill(manifest, plan, rams=0) == plan
        assert weights(manifest, plan) == b""
        assert "w_data" not in generate(manifest, plan)


def test_the_image_has_two_bytes_for_each_word_of_each_cell(random_manifest):
    manifest = random_manifest(channels=16, modes=8)
    plan = spill(manifest, Plan.fit(manifest, 24, "ice40"), rams=0)
    text = generate(manifest, plan)
    cells = text.count("SB_SPRAM256KA")
    assert cells == estimate(manifest, plan).sprams > 1
    assert len(weights(manifest, plan)) % 2 == 0
    assert weights(manifest, plan) == weights(manifest, plan)
