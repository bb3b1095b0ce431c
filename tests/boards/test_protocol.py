import binascii
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl import Format, SsmHdlError
from ssm_hdl.boards.protocol import (
    CRC,
    Status,
    answer,
    bytes_to_codes,
    check_size,
    codes_to_bytes,
    frame_steps,
    request,
    split_answer,
)
from ssm_hdl.fingerprint import fingerprint


def test_crc_is_that_of_the_gateware():
    random.seed(0)
    for length in (0, 1, 2, 300):
        data = random.randbytes(length)
        assert binascii.crc_hqx(data, CRC.initial_crc) == CRC().compute(data)


def test_frames_byte_by_byte():
    head = bytes([0xA5, 7, 0x34, 0x12, 2, 0, 0x0A, 0x0B])
    assert request(7, 0x1234, b"\x0a\x0b") == head + CRC().compute(head).to_bytes(2, "little")
    head = bytes([0x5A, 7, 0, 3, 0, 1, 2, 3])
    assert answer(7, Status.OK, b"\1\2\3") == head + CRC().compute(head).to_bytes(2, "little")


def test_split_answer():
    one, two = answer(1, Status.OK, b"results"), answer(2, Status.DAMAGED)
    assert split_answer(one + two[:3]) == (1, 0, b"results", two[:3])
    assert split_answer(two) == (2, 1, b"", b"")
    for length in range(len(one)):
        assert split_answer(one[:length]) is None
    for place in range(len(one)):
        damaged = bytearray(one)
        damaged[place] ^= 0x10
        if place in (3, 4):  # a length that is not there: it waits for more, then sees
            damaged += bytes(1 << 16)
        with pytest.raises(ValueError):
            split_answer(bytes(damaged))


@settings(deadline=None)
@given(st.booleans(), st.integers(2, 62), st.data())
def test_codes_survive_the_way(signed, width, data):
    format = Format(signed, width, 0)
    codes = data.draw(st.lists(st.integers(format.min, format.max), max_size=5))
    codes += [format.min, format.max, 0]
    sent = codes_to_bytes(np.array(codes), format)
    assert len(sent) == len(codes) * -(-width // 8)
    assert [int.from_bytes(sent[i : i + len(sent) // len(codes)], "little", signed=signed)
            for i in range(0, len(sent), len(sent) // len(codes))] == codes  # fmt: skip
    assert bytes_to_codes(sent, format).tolist() == codes


def test_fingerprint_changes_with_the_program_alone(random_manifest, double):
    manifest = random_manifest()
    assert fingerprint(manifest) == fingerprint(random_manifest())
    assert 0 <= fingerprint(manifest) < 1 << 16
    renamed = manifest.graph.model_copy(update={"name": "other", "description": "the same"})
    assert fingerprint(type(manifest)(renamed, manifest.tensors)) == fingerprint(manifest)
    others = [
        random_manifest(seed=1),
        random_manifest(steps=7),
        double(),
        double(result="SQ(4, 6)"),
    ]
    assert len({fingerprint(other) for other in [manifest, *others]}) == 5


def test_sequences_that_no_frame_holds_are_refused_or_come_in_parts(random_manifest, double):
    check_size(random_manifest(steps=65535))
    with pytest.raises(
        SsmHdlError, match=r"the samples of one sequence are 65,536 bytes; .* holds 65,535"
    ):
        check_size(random_manifest(steps=65536))
    assert [frame_steps(double(steps=steps, size=3)) for steps in (80, 85, 10**6)] == [80, 85, 85]
    assert frame_steps(double(steps=9, size=300)) == 1
