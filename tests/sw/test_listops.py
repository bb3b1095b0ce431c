"""ListOps: every rule of the Arena, and the values by an evaluation of its own."""

import statistics
from collections import Counter

import numpy as np
import pytest

from ssm_hdl import Format, SsmHdlError
from ssm_hdl.sw.data import SPECS, generated, listops

STEPS = 128


@pytest.fixture(scope="module")
def samples():
    return listops.generate(2000, STEPS, seed=1)


def nodes(tokens, depth=1):
    """Depth, operator and number of arguments of each operator, and depth of each digit;
    and the value. Eats the tokens."""
    token = tokens.pop(0)
    if token.isdigit():
        return [(depth, token, 0)], int(token)
    found, values = [], []
    while tokens[0] != "]":
        below, value = nodes(tokens, depth + 1)
        found += below
        values.append(value)
    tokens.pop(0)
    functions = {
        "[MIN": min,
        "[MAX": max,
        "[MED": lambda v: int(statistics.median(v)),
        "[SM": lambda v: sum(v) % 10,
    }
    return [(depth, token, len(values)), *found], functions[token](values)


def test_every_expression_is_well_formed_and_has_its_value(samples):
    for codes, label in zip(*samples, strict=True):
        tokens = listops.text(codes).split()
        assert nodes(tokens)[1] == label
        assert not tokens


def test_the_evaluation_of_an_example():
    tokens = "[MAX 2 9 [MIN 4 7 ] [MED 1 4 6 8 ] [SM 7 8 ] 0 ]".split()  # noqa: SIM905
    assert nodes(list(tokens))[1] == 9
    assert [nodes(["[MED", *digits, "]"])[1] for digits in ("18", "12", "395")] == [4, 1, 5]
    codes = np.array([listops.VOCABULARY.index(token) for token in tokens] + [0] * 9, np.uint8)
    assert listops.text(codes[:, np.newaxis]) == " ".join(tokens)


def test_trees_follow_the_rules(samples):
    every = [nodes(listops.text(codes).split())[0] for codes in samples[0]]
    flat = [node for found in every for node in found]
    counts = Counter(token for _, token, arguments in flat if arguments)
    assert {
        min(arguments for *_, arguments in flat if arguments),
        max(arguments for *_, arguments in flat),
    } == {2, 10}
    assert max(depth for depth, *_ in flat) == 10
    assert all(arguments == 0 for depth, _, arguments in flat if depth == 10)
    assert set(counts) == set(listops.OPERATORS)
    assert max(counts.values()) < 1.1 * min(counts.values())
    digits = Counter(token for _, token, arguments in flat if not arguments)
    assert set(digits) == set("0123456789")
    assert max(digits.values()) < 1.05 * min(digits.values())


def test_an_operator_comes_with_a_probability_of_one_quarter():
    """In trees as drawn: dropping trees of a wrong length would favour many operators."""
    draw = np.random.default_rng(0).random
    operators = 0
    for _ in range(4000):
        tokens = []
        listops._tree(draw, tokens, 10**6, 9)
        operators += tokens[0] >= listops.VOCABULARY.index("[MIN")
    assert abs(operators / 4000 - 0.25) < 0.025


def test_lengths_are_within_their_limits_and_padding_is_behind(samples):
    codes = samples[0][..., 0]
    lengths = np.count_nonzero(codes, axis=1)
    assert STEPS // 4 < lengths.min() < STEPS // 3
    assert STEPS - 8 < lengths.max() < STEPS
    assert all(
        (row[:length] > 0).all() and not row[length:].any()
        for row, length in zip(codes, lengths, strict=True)
    )


def test_no_expression_comes_twice_and_the_seed_decides_which(samples):
    codes, labels = samples
    assert len({row.tobytes() for row in codes}) == len(codes)
    again = listops.generate(100, STEPS, seed=1)
    assert np.array_equal(again[0], codes[:100]) and np.array_equal(again[1], labels[:100])
    other = listops.generate(100, STEPS, seed=2)[0]
    assert not {row.tobytes() for row in other} & {row.tobytes() for row in codes}


def test_classes_are_as_balanced_as_in_the_arena(samples):
    """Minimum and maximum prefer 0 and 9, to about one sample in six each;
    every other class has one in 14 to 9."""
    parts = np.bincount(samples[1], minlength=10) / len(samples[1])
    assert (parts[[0, 9]] > 0.13).all() and (parts[[0, 9]] < 0.2).all()
    assert (parts[1:9] > 0.06).all() and (parts[1:9] < 0.12).all()


def test_codes_are_tokens_of_their_format():
    spec = SPECS["listops"]
    assert spec.tokens == 16 == 1 + Format.parse(spec.input_format).max
    codes = listops.generate(2)[0]
    assert codes.shape == (2, 128, 1) and codes.dtype == np.uint8
    tokens = spec.normalise(codes)
    assert tokens.dtype == np.int32 and np.array_equal(tokens, codes)


def test_the_samples_are_kept_and_read_again(tmp_path, monkeypatch):
    made = generated.load(listops, tmp_path, steps=32, sizes=(6, 3, 2))
    assert [len(part) for part in (made.train, made.val, made.test)] == [6, 3, 2]
    assert (made.steps, made.name, made.tokens) == (32, "listops", 16)
    monkeypatch.setattr(listops, "generate", None)
    again = generated.load(listops, tmp_path, steps=32, sizes=(6, 3, 2))
    assert np.array_equal(again.test.codes, made.test.codes) and np.array_equal(
        again.test.labels, made.test.labels
    )


def test_another_seed_is_kept_elsewhere(tmp_path):
    first, second = (
        generated.load(listops, tmp_path, steps=32, sizes=(2, 1, 1), seed=seed) for seed in (0, 5)
    )
    assert not np.array_equal(first.train.codes, second.train.codes)


@pytest.mark.parametrize("damage", ["cut", "shape", "label", "other"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    generated.load(listops, tmp_path, steps=32, sizes=(6, 3, 2))
    (path,) = tmp_path.iterdir()
    codes, labels = listops.generate(11, 32)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "shape":
        np.savez(path, codes=codes[:, :31], labels=labels)
    elif damage == "label":
        np.savez(path, codes=codes, labels=labels + 5)
    else:
        np.savez(path, something=codes)
    with pytest.raises(SsmHdlError, match=r"listops-32-11\.npz.*; delete it, and it is made again"):
        generated.load(listops, tmp_path, steps=32, sizes=(6, 3, 2))


def test_too_few_steps_are_refused():
    with pytest.raises(SsmHdlError, match="15 steps are too few"):
        listops.generate(1, 15)
