"""A text, character by character: the label of a step is the next character,
so a model of it is a language model.

The vocabulary are the characters that occur, in the order of their code points; `InputSpec` keeps
them as the names of the classes. The first 85 % of the text train, the next 5 % validate,
and the last tenth tests.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import UQ
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.cut import PARTS, SEED, Cut
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

SHARES = (0.85, 0.9)
"""Where the training part and the validation part end."""

WINDOW = 256
"""Steps of a window if nothing is given."""

MAX_TOKENS = 4096
"""Most characters of a vocabulary; a file with more is no text of an alphabet."""


def is_text(path: Path) -> bool:
    """Whether a file is a text, plain or gzipped, by its name."""
    return path.suffix == ".txt" or path.suffixes[-2:] == [".txt", ".gz"]


def load(
    path: Path | str,
    like: InputSpec | None = None,
    window: int | None = None,
    hop: int | None = None,
) -> Dataset:
    """Read a text and cut it into windows.

    Args:
        path: of the file, in UTF-8, gzipped if its name ends in .gz.
        like: what a model was trained on: its vocabulary is taken.
        window: steps of a window; ``like``'s, or 256, if None.
        hop: steps from one window of the training part to the next; ``window`` if None.
            Others never overlap.

    Raises:
        SsmHdlError: the file cannot be read, is shorter than 20 characters,
            or has characters beyond the vocabulary.
    """
    path = Path(path)
    text = read(path)
    codes = encode(text, path, like.class_names if like else tuple(sorted(set(text))))
    ends = [round(share * len(text)) for share in SHARES]
    parts = np.searchsorted(ends, np.arange(len(text)), side="right")
    window = window or (like.steps if like else WINDOW)
    cut = Cut.plan(parts, None, window, hop or window)
    inputs, labels = (
        cut.apply(codes[:, np.newaxis], 0),
        cut.apply(np.append(codes[1:], UNLABELLED).astype(np.int64), UNLABELLED),
    )
    spec = like or spec_of(path.name, tuple(sorted(set(text))), cut.window)
    chosen = [np.flatnonzero(cut.parts == number) for number in range(len(PARTS))]
    # the first ones calibrate, and have to be of all the text
    chosen[0] = np.random.default_rng(SEED).permutation(chosen[0])
    splits = (
        Split(inputs[one], labels[one], None if cut.lengths is None else cut.lengths[one])
        for one in chosen
    )
    train, val, test = splits
    return Dataset(**vars(spec) | {"steps": cut.window}, train=train, val=val, test=test)


def spec_of(name: str, vocabulary: tuple[str, ...], steps: int) -> InputSpec:
    """The description of a text ``name`` of these characters."""
    size = len(vocabulary)
    bits = max(1, (size - 1).bit_length())
    return InputSpec(
        name,
        str(UQ(bits, 0)),
        (0.0,),
        (1.0,),
        steps,
        classes=size,
        tokens=size,
        per_step=True,
        class_names=vocabulary,
    )


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        SsmHdlError: it cannot be read, or is shorter than 20 characters.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SsmHdlError(f"cannot read {path} as text in UTF-8: {error}") from error
    if len(text) < 20:
        raise SsmHdlError(
            f"{path} has {len(text)} characters; a text has 20 at least, to train and to test"
        )
    return text


def encode(text: str, path: Path, vocabulary: tuple[str, ...]) -> np.ndarray:
    """The codes (steps,) of a text in a vocabulary of single characters.

    Raises:
        SsmHdlError: there is a character beyond the vocabulary;
            or it is no vocabulary of characters, or too large.
    """
    if any(len(one) != 1 for one in vocabulary) or not 2 <= len(vocabulary) <= MAX_TOKENS:
        raise SsmHdlError(
            f"{path} cannot be read with {len(vocabulary)} tokens; "
            f"2 to {MAX_TOKENS} single characters are wanted"
        )
    # bytes of a command line that are no UTF-8 are lone surrogates
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    known = np.array([ord(one) for one in vocabulary], np.uint32)
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], points), len(known) - 1)
    if (unknown := np.flatnonzero(known[order][places] != points)).size:
        first = int(unknown[0])
        raise SsmHdlError(
            f"{path} has {text[first]!r} as character {first:,}, "
            f"which is none of the {len(vocabulary)} of the model's vocabulary"
        )
    return order[places].astype(np.uint8 if len(known) <= 256 else np.uint16)
