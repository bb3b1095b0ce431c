# amaranth: UnusedElaboratable=no
"""A board with tables in SPRAM, from the bytes of its flash to the results on its serial line."""

from dataclasses import replace

import numpy as np
import pytest
import serial

from ssm_hdl import SsmHdlError
from ssm_hdl.boards.build import with_image
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.flash import FlashReader
from ssm_hdl.boards.protocol import Status, bytes_to_codes, codes_to_bytes, request, split_answer
from ssm_hdl.boards.shell import shell_verilog
from ssm_hdl.families import unlimited
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import weights
from ssm_hdl.sim.board import VirtualBoard
from ssm_hdl.sim.golden import run

DIVISOR, TIMEOUT = 4, 4000
FEW_RAMS = replace(unlimited(ICE40), rams=12, sprams=8)
BOARD = find_board("icebreaker")


def ask(manifest, contents, cache, samples):
    """Status and results of a sequence, on a board with these contents of its flash,
    as soon as they are loaded."""
    plan = plan_for(manifest, FEW_RAMS, dsp=12).plan
    verilog = shell_verilog(manifest, plan, DIVISOR, TIMEOUT, BOARD.flash_offset)
    data = request(7, fingerprint(manifest), codes_to_bytes(samples, manifest.input.format))
    start = FlashReader(BOARD.flash_offset, 12e6).cycles(len(weights(manifest, plan)))
    with (
        VirtualBoard(
            verilog,
            "shell",
            DIVISOR,
            linger=200_000,
            family=ICE40,
            flash=contents,
            start=start,
            cache=cache,
        ) as board,
        serial.Serial(board.port, timeout=60) as port,
    ):
        port.write(data)
        head = port.read(5)
        tag, status, results, rest = split_answer(
            head + port.read(int.from_bytes(head[3:], "little") + 2)
        )
        assert (tag, rest) == (7, b"")
    return status, bytes_to_codes(results, manifest.output.format)


@pytest.fixture
def manifest(random_manifest):
    return random_manifest(channels=16, modes=8, steps=4)


def contents(manifest):
    image = weights(manifest, plan_for(manifest, FEW_RAMS, dsp=12).plan)
    return with_image(BOARD, bytes(104_090), image)


def test_results_equal_the_golden_model(manifest, random_samples, cache):
    samples = random_samples(manifest, 1)
    status, results = ask(manifest, contents(manifest), cache, samples)
    assert status == Status.OK
    assert np.array_equal(results, run(manifest, samples).outputs.ravel())


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:200_00]]
)
def test_wrong_weights_are_refused(manifest, random_samples, cache, damage):
    status, results = ask(manifest, damage(contents(manifest)), cache, random_samples(manifest, 1))
    assert (status, len(results)) == (Status.NOT_LOADED, 0)


def test_the_image_has_its_place():
    assert with_image(BOARD, b"bits", b"") == b"bits"
    whole = with_image(BOARD, b"bits", b"image")
    assert whole[: BOARD.flash_offset] == b"bits".ljust(BOARD.flash_offset, b"\xff")
    assert whole[BOARD.flash_offset :] == b"image"
    with pytest.raises(
        SsmHdlError,
        match="the bitstream has 131,073 bytes; the weights begin at 131,072 of the flash",
    ):
        with_image(BOARD, bytes(131_073), b"image")
