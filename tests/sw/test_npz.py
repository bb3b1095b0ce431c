"""A user's own samples: read, cut into windows, normalised, and refused with one line."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest

from ssm_hdl import Format, SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import data
from ssm_hdl.sw.data import npz


@pytest.fixture
def write(tmp_path):
    """``write(**arrays)``: the path of a file of 20 samples of 8 steps and 2 channels,
    some arrays replaced, None left out."""

    def make(**arrays):
        random = np.random.default_rng(0)
        default = {"x": random.integers(-900, 800, (20, 8, 2)), "y": np.arange(20) % 3}
        path = tmp_path / "mine.npz"
        np.savez(
            path, **{name: array for name, array in (default | arrays).items() if array is not None}
        )
        return path

    return make


def test_integers_are_codes(write):
    path = write(rate=50, classes=["a", "b", "c"], channels=["u", "v"])
    found, x = data.load(path), np.load(path)["x"]
    assert (found.name, found.input_format, found.classes, found.per_step, found.rate) == (
        "mine.npz",
        "SQ(11, 0)",
        3,
        False,
        50,
    )
    assert (found.class_names, found.channel_names) == (("a", "b", "c"), ("u", "v"))
    assert [len(part) for part in (found.train, found.val, found.test)] == [14, 3, 3]
    everything = found.all()
    assert sorted(map(bytes, everything.codes.astype(np.int64))) == sorted(map(bytes, x))
    order = [int(np.flatnonzero((x == codes).all((1, 2)))[0]) for codes in everything.codes]
    np.testing.assert_array_equal(everything.labels, np.load(path)["y"][order])
    values = found.normalise(found.train.codes)
    assert np.abs(values.mean((0, 1))).max() < 1e-6 and np.abs(values.std((0, 1)) - 1).max() < 1e-6


def test_floats_become_codes_of_a_stated_format_and_scale(write):
    x = np.random.default_rng(1).normal(size=(20, 8, 2)) * [3, 1e-3]
    found = data.load(write(x=x, split=np.arange(20) % 3))
    assert found.input_format == "SQ(1, 11)"
    assert found.scale[0] == 2.0 ** np.ceil(np.log2(np.abs(x[::3, :, 0]).max()))
    back = found.train.codes * Format.parse(found.input_format).lsb * found.scale
    assert (np.abs(back - x[::3]) <= np.array(found.scale) / 4096).all()
    assert np.abs(found.normalise(found.train.codes).std((0, 1)) - 1).max() < 1e-5
    again = data.load_for(found.spec, write(x=x[:4] * 2, y=None, split=np.full(4, 2)))
    assert (again.spec, again.test.labels.tolist()) == (found.spec, [-1] * 4)
    # twice as large, so some saturate
    assert Format.parse(found.input_format).max in again.test.codes
    with pytest.raises(
        SsmHdlError, match=r"% of x are beyond SQ\(1, 11\), .* the unit of the training"
    ):
        data.load_for(found.spec, write(x=x * 1000))


def test_a_large_offset_gets_more_bits(write):
    x = np.random.default_rng(1).normal((10_000, 0), size=(20, 8, 2))
    found = data.load(write(x=x))
    assert Format.parse(found.input_format).lsb * found.scale[0] < 1 / 16


def test_padding_does_not_decide_the_format(write):
    x = np.random.default_rng(1).normal((10_000, 5), size=(20, 8, 2))
    cut, padded = (
        data.load(write(x=x[:, :4])).spec,
        data.load(write(x=x, length=np.full(20, 4))).spec,
    )
    assert padded == replace(cut, steps=8)


@pytest.mark.parametrize("junk", [99, -7, np.inf])
def test_labels_in_the_padding_do_not_count(write, junk):
    y = np.tile([0, 1, 1, 0, junk, junk, junk, junk], (20, 1))
    found = data.load(write(y=y, length=np.full(20, 4)))
    assert (found.classes, found.targets) == ((0, 1) if np.isinf(junk) else (2, 0))
    assert (found.train.labels[:, :4].reshape(-1, 4) == [0, 1, 1, 0]).all()


def test_the_widest_half_floats_are_taken(write):
    x = np.random.default_rng(1).choice([-60_000, 60_000], (20, 8, 2))
    half, double = (data.load(write(x=x.astype(kind))) for kind in (np.float16, np.float64))
    assert (
        (half.input_format, half.scale)
        == (double.input_format, double.scale)
        == ("SQ(1, 11)", (65536.0, 65536.0))
    )


def test_lengths_are_kept_and_padding_is_neither_used_nor_read(write):
    x = np.random.default_rng(1).normal(size=(20, 8, 2))
    lengths = 1 + np.arange(20) % 8
    padding = np.arange(8) >= lengths[:, np.newaxis]
    given = data.load(
        write(
            x=np.where(padding[..., np.newaxis], np.nan, x),
            length=lengths,
            y=np.tile(np.arange(8) % 2, (20, 1)),
        )
    )
    assert (given.train.lengths <= 8).all() and not given.train.codes[~given.train.inside()].any()
    assert (given.train.labels[~given.train.inside()] == -1).all() and (
        given.train.labels[given.train.inside()] >= 0
    ).all()
    assert np.abs(given.normalise(given.train.codes)[given.train.inside()].mean(0)).max() < 1e-6


def test_a_recording_is_cut_within_its_parts_and_recordings(write):
    x = np.arange(100)[:, np.newaxis].repeat(2, 1)
    parts = np.repeat([0, 1, 0, 2], [35, 20, 25, 20])
    path = write(x=x, y=np.arange(100) % 3 - 1, split=parts, recording=np.arange(100) // 50)
    found = data.load(path, window=10, hop=5)
    assert found.per_step and found.steps == 10
    assert sorted(found.train.codes[:, 0, 0]) == [0, 5, 10, 15, 20, 25, 55, 60, 65, 70]
    assert found.val.codes[:, 0, 0].tolist() == [35, 45, 50] and found.val.lengths.tolist() == [
        10,
        5,
        5,
    ]
    assert found.test.codes[:, 0, 0].tolist() == [80, 90]
    assert (found.val.labels[1] == [*(np.arange(45, 50) % 3 - 1), *[-1] * 5]).all()
    whole = data.load_for(found.spec, path, window=10**12)
    assert whole.test.codes.shape == (1, 35, 2) and whole.test.lengths.tolist() == [20]


@pytest.mark.parametrize(("hop", "starts"), [(50, [0, 50]), (68, [0, 68]), (10**30, [0])])
def test_windows_further_apart_than_a_window_begin_within_the_recording(write, hop, starts):
    found = data.load(
        write(x=np.arange(100)[:, np.newaxis], y=np.arange(100) % 2), window=10, hop=hop
    )
    assert sorted(found.train.codes[:, 0, 0]) == starts


def test_a_recording_without_parts_is_divided_in_its_order(write):
    found = data.load(write(x=np.arange(100)[:, np.newaxis], y=np.arange(100) % 2), window=5)
    assert [part.codes[:, 0, 0].min() for part in (found.train, found.val, found.test)] == [
        0,
        70,
        85,
    ]


def test_validation_is_taken_from_training_where_it_is_missing(write):
    found = data.load(write(split=["train"] * 15 + ["test"] * 5))
    assert [len(part) for part in (found.train, found.val, found.test)] == [13, 2, 5]


@pytest.mark.parametrize("shape", [(20,), (20, 2), (20, 8), (20, 8, 3)])
def test_numbers_are_for_regression(write, shape):
    found = data.load(write(y=np.random.default_rng(0).normal(size=shape)))
    assert (found.classes, found.targets, found.per_step) == (
        0,
        shape[-1] if shape[-1] < 8 else 1,
        shape[1:2] == (8,),
    )


ODD_NAMES = ("", "two\nlines", "\x1b[31mred", "\u202eright to left", "\udc80", "a" * 201)
NAN = np.where(np.arange(16).reshape(8, 2) == 5, np.nan, 1.0)[np.newaxis].repeat(20, 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": None}, "there is no array x"),
        ({"y": None}, "there is no array y, the labels"),
        ({"z": [1]}, "there is an array 'z'; known are x, y, length"),
        ({"x": NAN}, r"x is nan at \(0, 2, 1\) \(sample, step, channel\)"),
        ({"x": np.zeros((0, 8, 2))}, r"x has shape \(0, 8, 2\)"),
        ({"x": np.zeros((2, 3, 4, 5))}, r"x has shape \(2, 3, 4, 5\)"),
        (
            {"x": np.zeros((20, 2))},
            "is a recording .*, to be cut by --window; sequences of one channel",
        ),
        ({"x": np.zeros((20, 8, 2), complex)}, "x is of type complex128"),
        ({"x": np.full((20, 8, 2), 1 << 30)}, "codes of 31 bits; a code has 24 at most"),
        ({"x": np.full((20, 8, 2), -(2**63))}, "codes of 64 bits; a code has 24 at most"),
        ({"x": np.full((20, 8, 2), 2**63, np.uint64)}, "codes of 64 bits; a code has 24 at most"),
        ({"x": np.full((20, 8, 2), 1e300)}, r"x goes up to 1e\+300; floats go up to 1e\+30"),
        ({"x": np.full((20, 8, 2), np.longdouble("-1e4000"))}, r"x is -inf at"),
        (
            {"x": np.ones((20, 8, 2)), "format": "SQ(1, 40)"},
            r"format SQ\(1, 40\) has 41 bits; a code has 24 at most",
        ),
        (
            {"x": -np.ones((20, 8, 2)), "format": "UQ(0, 8)"},
            r"x goes down to -1, and format UQ\(0, 8\) has no sign",
        ),
        (
            {"x": np.linspace(-1, 1, 320).reshape(20, 8, 2), "format": "SQ(0, 8)"},
            (
                r"50% of x are beyond SQ\(0, 8\), from -0.5, -0.5 to 0.4961, 0.4961; "
                r"give another format"
            ),
        ),
        ({"x": np.full((20, 8, 2), "a")}, "x is of type <U1; numbers are wanted"),
        (
            {"y": np.full(20, "a")},
            "y is of type <U1; numbers are wanted, and names of classes in classes",
        ),
        (
            {"y": np.arange(19)},
            r"y has shape \(19,\) and x \(20, 8, 2\); y is \(20,\) or \(20, 8\)",
        ),
        ({"y": np.arange(20) - 1}, "y has the label -1; classes are 0 to 18"),
        ({"y": np.zeros(20, int)}, "y names fewer than two classes; write floats for regression"),
        ({"y": np.full(20, 10**6)}, "y has the label 1000000"),
        ({"y": np.full(20, -4)}, "y has the label -4; classes are integers from 0"),
        ({"y": np.full((20, 8), -2)}, "y has the label -2; .* -1 is for a step without one"),
        (
            {"y": np.full(20, -1e31)},
            r"y of target 0 goes up to 1e\+31; numbers are 1e-30 to 1e\+30, use another unit",
        ),
        ({"y": np.full((20, 2), [1.0, 1e-31])}, "y of target 1 goes up to 1e-31"),
        ({"y": np.full(20, np.nan)}, "NaN is for steps without a label alone"),
        ({"classes": ["a", "b"]}, "y has the label 2; classes are 0 to 1"),
        ({"channels": [["a"], ["b"]]}, r"channels has shape \(2, 1\); it is a list of names"),
        ({"classes": "abc"}, r"classes has shape \(\); it is a list of names"),
        ({"channels": ["a"]}, "1 names of 2 channels"),
        (
            {"classes": ["a", "b", "a"]},
            "classes has the name 'a' twice; give each a name of its own",
        ),
        *(
            ({"channels": ["a", name]}, "the name .* is 1 to 200 characters that print on one line")
            for name in ODD_NAMES
        ),
        *(
            (
                {"classes": ["a", "b", name]},
                "the name .* is 1 to 200 characters that print on one line",
            )
            for name in ODD_NAMES
        ),
        (
            {"length": np.full(20, -1)},
            "length goes from -1 to -1; a sequence of x has 1 to 8 steps",
        ),
        ({"length": np.full(20, 9)}, "length goes from 9 to 9"),
        ({"length": np.full(3, 8)}, r"length has shape \(3,\); it goes with 20 entries"),
        ({"length": np.full(20, 7.5)}, "length is of type float64; integers are wanted"),
        (
            {"recording": np.zeros(20, int)},
            r"recording goes with a recording \(steps, channels\); x has shape \(20, 8, 2\)",
        ),
        (
            {"x": np.zeros((20, 2)), "length": np.full(20, 8)},
            r"length goes with sequences .*; x has shape \(20, 2\)",
        ),
        ({"split": ["training"] * 20}, "split has 'training'; there are train, val, test"),
        ({"split": np.full(20, 2)}, "no sample is for training"),
        ({"rate": -1}, "rate is -1"),
        ({"rate": [1, 2]}, r"rate has shape \(2,\); it is a single value"),
        ({"format": "SQ(3, 0)"}, r"codes of SQ\(3, 0\) are -4 to 3"),
        ({"format": "float"}, r"mine\.npz: format: 'float' is not a format"),
        ({"format": "SQ(0, 0)"}, r"mine\.npz: format: SQ\(0, 0\) has 0 bits"),
        ({"mean": [0, 0]}, "only one of mean and std"),
        ({"mean": [0, 0], "std": [1, 0]}, r"std is \[1 0\]; 2 finite numbers are wanted, above 0"),
        ({"mean": [0, 0, 0], "std": [1, 1, 1]}, "2 finite numbers are wanted"),
    ],
)
def test_a_bad_file_is_refused(write, arrays, message):
    with pytest.raises(SsmHdlError, match=message) as refused:
        data.load(write(**arrays))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4" + bytes(40)])
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(
        SsmHdlError,
        match=r"cannot read .*mine\.npz as arrays of numbers by numpy\.savez: "
        r".*(another kind|truncated|not a zip)",
    ):
        data.load(path)


def test_objects_and_other_archives_are_refused_and_nothing_is_unpickled(write, tmp_path):
    with pytest.raises(SsmHdlError, match="it holds objects, not numbers"):
        data.load(write(x=np.array([[1], [1, 2]], dtype=object)))
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x", "text")
    with pytest.raises(SsmHdlError, match=r"mine\.npz"):
        data.load(tmp_path / "mine.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(SsmHdlError, match="one array without a name"):
        data.load(tmp_path / "one.npz")
    with pytest.raises(SsmHdlError, match=r"cannot read .*nothing\.npz: No such file"):
        data.load(tmp_path / "nothing.npz")


def test_a_file_cut_off_anywhere_is_refused(write):
    path = write()
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(SsmHdlError, match=r"as arrays of numbers by numpy\.savez"):
            data.load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": np.zeros((20, 8, 3), int)},
            "x has 3 channels; the model, trained on mine.npz, takes 2",
        ),
        (
            {"x": np.zeros((20, 2), int), "y": None},
            "x is a recording; the model, trained on mine.npz, takes sequences",
        ),
        (
            {"x": np.zeros((20, 8, 2))},
            "x are floats; the model, trained on mine.npz, takes integers",
        ),
        ({"x": np.full((20, 8, 2), 2000)}, r"x goes from 2000 to 2000; codes of SQ\(11, 0\)"),
        ({"y": np.full(20, 3)}, "y has the label 3; classes are 0 to 2"),
        (
            {"y": np.ones(20)},
            (
                "y are numbers for regression, floats; the model, trained on mine.npz, "
                "puts out classes"
            ),
        ),
        (
            {"y": np.zeros((20, 8), int)},
            "has labels for each step; the model, trained on mine.npz, answers for each sequence",
        ),
        (
            {"classes": ["a", "b", "d"]},
            "class names a, b, d; the model, trained on mine.npz, has a, b, c",
        ),
        ({"channels": ["v", "u"]}, "channel names v, u; the model, trained on mine.npz, has u, v"),
        ({"rate": 100}, "has the rate 100; the model, trained on mine.npz, has 50"),
        (
            {"format": "SQ(12, 0)"},
            r"of format SQ\(12, 0\); the model, trained on mine.npz, takes SQ\(11, 0\)",
        ),
        (
            {"mean": [0, 0], "std": [1, 1]},
            "mean and std are not those that the model was trained with",
        ),
    ],
)
def test_samples_that_a_model_was_not_trained_for_are_refused(write, arrays, message):
    names = {"classes": ["a", "b", "c"], "channels": ["u", "v"], "rate": 50}
    model = data.load(write(**names)).spec
    assert data.load_for(model, write()).spec == model
    with pytest.raises(SsmHdlError, match=message):
        data.load_for(model, write(**arrays))


def test_a_model_of_a_file_wants_a_file_and_a_set_has_no_windows(write):
    model = data.load(write()).spec
    with pytest.raises(
        SsmHdlError, match=r"trained on mine\.npz; name that file, or one like it, with --data FILE"
    ):
        data.load_for(model)
    with pytest.raises(
        SsmHdlError, match=r"digits has classes 10; the model, trained on digits, has classes 4"
    ):
        data.load_for(replace(data.SPECS["digits"], classes=4))
    with pytest.raises(UsageError, match="digits has sequences already"):
        data.load("digits", window=3)
    with pytest.raises(SsmHdlError, match="has sequences already; --window cuts a recording"):
        npz.load(write(), window=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", np.nan),
        ("mean", np.inf),
        ("std", 0.0),
        ("scale", 0.0),
        ("scale", np.inf),
        ("rate", -1.0),
        ("rate", np.nan),
    ],
)
def test_a_normalisation_or_rate_out_of_range_is_refused(write, field, value):
    spec = data.load(write(x=np.random.default_rng(1).normal(size=(20, 8, 2)))).spec
    with pytest.raises(SsmHdlError, match=f"samples of mine.npz: .*{value}"):
        replace(spec, **{field: value if field == "rate" else (value, 1.0)})
