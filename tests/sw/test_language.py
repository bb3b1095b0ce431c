"""Samples of tokens for language models: texts, induction heads, selective copying."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw import data
from ssm_hdl.sw.data import copying, generated, induction
from ssm_hdl.sw.score import bits_per_step

TEXT = "".join(f"{number} went up the hill; " for number in range(200)) + "\u00e9\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hill.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def decoded(dataset, split, labels=False):
    """The text of a part, in the order of its windows; without its first character if of labels."""
    steps = (
        np.arange(dataset.steps)
        < (np.full(len(split), dataset.steps) if split.lengths is None else split.lengths)[:, None]
    )
    codes = split.labels[steps] if labels else split.codes[steps][:, 0]
    return "".join(dataset.class_names[code] for code in codes if code != UNLABELLED)


def test_a_text_is_cut_into_windows_whose_labels_are_the_next_characters(file):
    dataset = data.load(str(file), window=32)
    ends = [round(share * len(TEXT)) for share in (0.85, 0.9)]
    assert decoded(dataset, dataset.val) == TEXT[ends[0] : ends[1]]
    assert decoded(dataset, dataset.test) == TEXT[ends[1] :]
    assert decoded(dataset, dataset.val, labels=True) == TEXT[ends[0] + 1 : ends[1] + 1]
    assert decoded(dataset, dataset.test, labels=True) == TEXT[ends[1] + 1 :]
    assert dataset.class_names == tuple(
        sorted(set(TEXT))
    ) and dataset.tokens == dataset.classes == len(set(TEXT))
    assert (
        dataset.per_step
        and dataset.is_text
        and dataset.steps == 32
        and dataset.input_format == "UQ(5, 0)"
    )
    train = decoded(dataset, dataset.train)
    assert (
        len(train) == ends[0]
        and sorted(train) == sorted(TEXT[: ends[0]])
        and train != TEXT[: ends[0]]
    )


def test_windows_of_the_training_part_overlap_by_the_hop(file):
    whole, half = (data.load(str(file), window=32, hop=hop).train for hop in (32, 16))
    assert len(half) == pytest.approx(2 * len(whole), abs=1)


def test_a_gzipped_text_is_the_same(file, tmp_path):
    packed = tmp_path / "hill.txt.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    one, other = data.load(str(file)), data.load(str(packed))
    assert (
        np.array_equal(one.train.codes, other.train.codes) and one.class_names == other.class_names
    )


def test_a_model_s_vocabulary_reads_another_text(file, tmp_path):
    like, other = data.load(str(file)).spec, tmp_path / "other.txt"
    other.write_text("up the hill; went 20 " * 3, encoding="utf-8")
    dataset = data.load_for(like, other, window=8)
    assert dataset.class_names == like.class_names and dataset.spec == replace(like, steps=8)
    assert decoded(dataset, dataset.val) == other.read_text()[54:57]
    other.write_text("up the hill; went ?" * 3, encoding="utf-8")
    with pytest.raises(
        SsmHdlError,
        match=r"other.txt has '\?' as character 18, "
        r"which is none of the \d+ of the model's vocabulary",
    ):
        data.load_for(like, other)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\xff\xfe" * 50, "as text in UTF-8"),
        ("a.txt.gz", b"plain" * 50, "as text in UTF-8: Not a gzipped file"),
        ("a.txt.gz", gzip.compress(b"plain" * 50, mtime=0)[:-10], "as text in UTF-8"),
        ("a.txt", b"short", "has 5 characters; a text has 20 at least"),
        ("a.txt", b"a" * 100, "cannot be read with 1 tokens"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SsmHdlError, match=message):
        data.load(str(tmp_path / name))


def test_a_text_that_is_missing_is_refused(tmp_path):
    with pytest.raises(SsmHdlError, match=r"cannot read .*none.txt as text"):
        data.load(str(tmp_path / "none.txt"))


def test_regression_and_classes_of_tokens_are_no_text():
    numbers = replace(data.SPECS["hapt"], classes=0, class_names=(), targets=1)
    assert not (
        numbers.is_text
        or copying.SPEC.is_text
        or replace(copying.SPEC, class_names=("ab",) * 16).is_text
    )
    with pytest.raises(SsmHdlError, match="print on one line"):
        replace(induction.SPEC, class_names=tuple("0123456789abcde\n"))


def test_bits_per_step_is_the_cross_entropy_of_the_labelled_steps():
    outputs = np.log(np.array([[[1, 1, 2], [6, 1, 1]], [[1, 3, 4], [1, 1, 1]]])) + 7
    assert bits_per_step(outputs, np.array([[2, 1], [0, UNLABELLED]])) == pytest.approx(
        (1 + 3 + 3) / 3
    )


@pytest.mark.parametrize("steps", [3, 64])
def test_induction_heads_ask_for_the_token_after_the_special_one(steps):
    codes, labels = induction.generate(500, steps, seed=1)
    places = np.argwhere(codes[:, :, 0] == 15)[:, 1].reshape(500, 2)  # exactly two in each
    assert (places[:, 1] == steps - 1).all() and set(places[:, 0]) == set(range(steps - 2))
    assert np.array_equal(codes[np.arange(500), places[:, 0] + 1, 0], labels)
    assert set(labels) == set(np.unique(codes)) - {15} == set(range(15))
    assert np.array_equal(induction.generate(20, steps, seed=1)[0], codes[:20])
    assert not np.array_equal(induction.generate(20, steps, seed=2)[0], codes[:20])


def test_selective_copying_repeats_the_tokens_in_their_order():
    codes, labels = copying.generate(300, 80, seed=1)
    assert (labels[:, :64] == UNLABELLED).all() and (codes[:, 64:] == 15).all()
    for sequence, wanted in zip(codes[:, :64, 0], labels[:, 64:], strict=True):
        assert sequence[sequence > 0].tolist() == wanted.tolist()
    assert set(np.unique(labels[:, 64:])) == set(range(1, 15))
    # every step holds a token in a quarter of the sequences
    assert ((codes[:, :64, 0] > 0).sum(0) > 30).all()
    assert np.array_equal(copying.generate(20, 80, seed=1)[1], labels[:20])


@pytest.mark.parametrize(("module", "least"), [(induction, 3), (copying, 32)])
def test_too_few_steps_are_refused(module, least):
    assert module.generate(1, least)[0].shape == (1, least, 1)
    with pytest.raises(SsmHdlError, match=f"{least - 1} steps are too few"):
        module.generate(1, least - 1)


def test_generated_sets_have_the_length_of_the_window_and_a_label_for_each_step_where_they_say_so(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(generated, "TOKENS", 2000)
    heads, copies = (data.load(name, tmp_path, window=40) for name in ("induction", "copying"))
    assert heads.train.codes.shape == copies.val.codes.shape == (50, 40, 1)
    assert (heads.test.labels.shape, copies.test.labels.shape) == ((50,), (50, 40))
    # from its file
    assert np.array_equal(data.load("copying", tmp_path, window=40).test.labels, copies.test.labels)
    trained = induction.SPEC
    assert data.load_for(trained, tmp_path, window=40).steps == 40
