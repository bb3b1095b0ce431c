"""``--device``, ``--rate``, ``--max`` and what belongs to them, on every command that has them."""

import json

import pytest
from rich.console import Console

from ssm_hdl import Manifest
from ssm_hdl.families import DEVICES, find_device
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sw.cli.generate import tables


@pytest.fixture(scope="module")
def manifest(random_manifest, tmp_path_factory):
    return random_manifest(channels=4, modes=4, steps=6).save(
        tmp_path_factory.mktemp("sizing") / "small"
    )


def test_a_rate_and_as_fast_as_it_goes(cli, manifest, tmp_path):
    device = DEVICES["lfe5u-25f"]
    for options, rate, fastest in (
        (("--rate", "16000"), 16e3, False),
        (("--max",), None, True),
        ((), None, False),
    ):
        out = tmp_path / "top.v"
        done = cli("generate", manifest, "--device", device.name, *options, "--json", "-o", out)
        assert done.status == 0, done.err
        answer, sized = (
            json.loads(done.out),
            plan_for(Manifest.load(manifest), device, rate, fastest=fastest),
        )
        assert (answer["cycles"], answer["dsp"], answer["rate_hz"]) == (
            sized.report.cycles,
            sized.report.dsp,
            sized.rate_hz,
        )
        assert answer["rate_hz"] >= (rate or 0) and answer["device"] == device.name
        assert (
            out.read_text().partition("\nmodule")[2]
            == generate(Manifest.load(manifest), sized.plan).partition("\nmodule")[2]
        )
        words = ("ssm-hdl generate", manifest.parent.name, "--device", device.name, *options)
        assert " ".join(words) in out.read_text()


def test_the_table_says_what_each_stage_takes_and_of_what_there_is(cli, manifest, tmp_path):
    done = cli("generate", manifest, "--device", "up5k", "--rate", "1e4", "-o", tmp_path / "top.v")
    for words in (
        "folding",
        "busy",
        "time steps per second",
        "of 5,280 LUTs",
        "of 8 DSP blocks",
        "of 30 block RAMs",
    ):
        assert words in " ".join(done.out.split()), words
    done = cli(
        "generate", manifest, "--device", "lfe5u-25f", "--rate", "1e4", "-o", tmp_path / "top.v"
    )
    assert "of 24,288 LUTs" in done.out and "of 24,288 flip-flops" in done.out


def test_other_clocks_and_fewer_blocks(cli, manifest, tmp_path):
    def answer(*options):
        return json.loads(
            cli(
                "generate",
                manifest,
                "--device",
                "lfe5u-85f",
                *options,
                "--json",
                "-o",
                tmp_path / "top.v",
            ).out
        )

    whole, slow, few = answer(), answer("--clock", 10), answer("--dsp", 4)
    assert slow["rate_hz"] == 10e6 / whole["cycles"] and few["dsp"] <= 4


@pytest.mark.parametrize("suffix,start", [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_roofline_is_drawn(cli, manifest, tmp_path, suffix, start):
    picture = tmp_path / f"roofline.{suffix}"
    done = cli(
        "generate",
        manifest,
        "--device",
        "up5k",
        "--max",
        "--roofline",
        picture,
        "-o",
        tmp_path / "top.v",
    )
    assert done.status == 0 and picture.read_bytes().startswith(start)


def test_the_image_of_tables_in_spram_stands_beside_the_verilog_or_nothing_does(
    cli, manifest, tmp_path
):
    out, image = tmp_path / "top.v", tmp_path / "top.weights.bin"
    assert (
        cli(
            "generate", "manifests/s4d-64h-w4a6x8", "--device", "up5k", "--rate", "1e4", "-o", out
        ).status
        == 0
    )
    assert "w_valid" in out.read_text() and image.stat().st_size > 10_000
    assert cli("generate", manifest, "--device", "up5k", "-o", out).status == 0
    assert "w_valid" not in out.read_text() and not image.exists()
    image.write_bytes(b"of somebody else")
    assert cli("generate", manifest, "--device", "up5k", "-o", out).status == 0
    assert image.read_bytes() == b"of somebody else"


@pytest.mark.parametrize("device", ["up5k", "lfe5u-25f"])
def test_what_was_sized_gives_the_same_bits(cli, manifest, device):
    done = cli(
        "simulate",
        manifest,
        "--device",
        device,
        "--max",
        "--samples",
        "random",
        "--count",
        4,
        "--json",
    )
    assert done.status == 0, done.err
    assert json.loads(done.out)["differences"] == 0


@pytest.mark.parametrize(
    "words,options",
    [
        (
            r"cannot take 1,000,000,000 time .* at 48 MHz; the most that fits is .*--max",
            ("--device", "up5k", "--rate", "1e9"),
        ),
        (
            "no plan has a latency of at most 3 cycles; the fastest, .* has",
            ("--device", "up5k", "--latency", "3"),
        ),
        ("no layers", ("--device", "up5k", "--share-layers")),
    ],
)
def test_refusals(refused, manifest, tmp_path, words, options):
    out = tmp_path / "top.v"
    refused(words, "generate", manifest, *options, "-o", out)
    assert not out.exists()


def test_what_replaces_an_option_that_is_gone(cli, manifest, tmp_path):
    for command, target, device in (
        ("generate", "ice40", "up5k"),
        ("simulate", "ecp5", "lfe5u-25f"),
        ("simulate", "generic", "generic"),
    ):
        done = cli(command, manifest, "--target", target)
        assert (done.status, done.out) == (2, "")
        assert (
            done.err
            == f"ssm-hdl: --target is gone, a pipeline is planned for a device: --device {device}\n"
        )


def test_what_is_left_for_other_logic(cli, manifest, tmp_path):
    out = tmp_path / "top.v"
    done = cli(
        "generate",
        manifest,
        "--device",
        "up5k",
        "--max",
        "--share-device",
        "1000,6,9",
        "--json",
        "-o",
        out,
    )
    answer = json.loads(done.out)
    assert (
        answer["dsp"] <= 2
        and answer["luts"] <= 0.85 * 5280 - 1000
        and answer["block_rams"]["ice40"] <= 20
    )


def test_a_search_that_takes_long_says_so(cli, manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("ssm_hdl.sw.progress.FIRST_S", 0)
    done = cli("generate", manifest, "--device", "up5k", "--json", "-o", tmp_path / "top.v")
    assert (
        " s, planning, " in done.err
        and " cycles per step" in done.err
        and json.loads(done.out)["cycles"]
    )


def test_a_model_that_is_too_large_is_told_where_it_would_fit(refused, tmp_path):
    refused(
        r"s5_mnist does not fit the iCE40UP5K: it takes at least .* LUTs where 4,488 can be used; "
        r"it fits the LFE5U-25F, LFE5U-45F",
        "generate", "manifests/s5-mnist-w4a8", "--device", "up5k", "--own-stages",
        "-o", tmp_path / "top.v",
    )  # fmt: skip


def test_a_benchmark_of_nothing_that_can_be_measured_is_refused(refused, manifest, tmp_path):
    where = (
        "--results",
        tmp_path / "bench.json",
        "--picture",
        tmp_path / "bench.png",
        "--kept",
        tmp_path / "kept",
    )
    refused("cannot take", "bench", f"{manifest}@icebreaker@1e9", *where)
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.parametrize("share", (False, True))
def test_the_table_of_a_plan_fits_a_terminal(random_manifest, share):
    manifest = random_manifest(channels=32, modes=16, layers=2, steps=784, alike=True)
    plan = plan_for(manifest, find_device("lfe5u-85f"), share_layers=share).plan
    with (console := Console(width=80)).capture() as shown:
        console.print(*tables(estimate(manifest, plan)))
    assert "readout" in shown.get() and "…" not in shown.get()
