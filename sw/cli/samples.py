"""Samples for a command: from a data set, from a file, or random."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.cli.console import need

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.fixed import Codes
    from ssm_hdl.sw.data import Dataset, Split

SPLITS = ("train", "val", "test")


def dataset_of(manifest: "Manifest", folder: Path | None) -> "Dataset":
    """The data set whose samples a manifest takes, recognised by the format and the length of a sequence.

    Raises:
        SsmHdlError: no data set fits, or its files are missing or damaged.
    """
    from ssm_hdl.sw.data import SPECS, load

    for spec in SPECS.values():
        if (spec.input_format, spec.steps) == (str(manifest.input.format), manifest.steps) and manifest.input.size == 1:
            if spec.name == "digits":
                need("sklearn")
            return load(spec.name, folder, progress=True)
    known = ", ".join(f"{spec.name} ({spec.steps} steps of {spec.input_format})" for spec in SPECS.values())
    raise SsmHdlError(
        f"no data set has sequences of {manifest.steps} steps of {manifest.input.size} x {manifest.input.format}, which "
        f"{manifest.name} takes; there are {known}; give samples in a file with --samples FILE.npy"
    )


def split_of(dataset: "Dataset", name: str, count: int | None) -> "Split":
    """The first ``count`` samples of one part of a data set.

    Raises:
        SsmHdlError: there is no such part.
    """
    if name not in SPLITS:
        raise SsmHdlError(f"a data set has no part {name!r}; there are {', '.join(SPLITS)}")
    split: Split = getattr(dataset, name)
    return split.head(count)


def samples_of(manifest: "Manifest", source: str, folder: Path | None, count: int | None, seed: int) -> "Codes":
    """Sequences for a manifest, checked, (batch, steps, size).

    Args:
        manifest: the integer program.
        source: ``random``, the name of a part of the data set that the manifest is for, or a .npy file of integer codes.
        folder: of the data set, if it has files.
        count: sequences; all of a file or a data set, and 10 random ones, if None.
        seed: of the random ones.

    Raises:
        SsmHdlError: no such file or part of a data set, or samples that the manifest does not take.
    """
    edge = manifest.input
    if source == "random":
        shape = (count or 10, manifest.steps, edge.size)
        return np.random.default_rng(seed).integers(edge.format.min, edge.format.max + 1, shape)
    if source in SPLITS:
        return manifest.check_samples(split_of(dataset_of(manifest, folder), source, count).codes)
    path = Path(source)
    try:
        samples = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise SsmHdlError(f"{path} does not exist; --samples takes random, {', '.join(SPLITS)} or a .npy file") from error
    except (OSError, ValueError, EOFError) as error:
        raise SsmHdlError(f"{path} is not a .npy file of numbers ({error}); write one with numpy.save") from error
    if not isinstance(samples, np.ndarray):
        raise SsmHdlError(f"{path} holds several arrays; --samples takes a .npy file with one")
    if len(samples) == 0:
        raise SsmHdlError(f"{path} holds no sequence")
    return manifest.check_samples(samples[:count])
