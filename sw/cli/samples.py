"""Samples for a command: from a data set, from a file, or random."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssm_hdl.errors import SsmHdlError, UsageError

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.samples import InputSpec
    from ssm_hdl.sw.data import Dataset, Split

SPLITS = ("train", "val", "test", "all")


def inputs_of(manifest: "Manifest") -> "InputSpec | None":
    """What a manifest takes: what it states, or else the data set of the same format,
    length and classes, if there is one."""
    from ssm_hdl.sw.data import SPECS

    edge, output = manifest.input, manifest.output
    if manifest.graph.samples is not None:
        return manifest.graph.samples
    for spec in SPECS.values():
        wanted = (spec.input_format, spec.steps, spec.channels, spec.classes, spec.per_step)
        if wanted == (
            str(edge.format),
            manifest.steps,
            edge.size,
            output.size,
            not output.per_sequence,
        ):
            return spec
    return None


def dataset_of(manifest: "Manifest", data: Path | None, window: int | None = None) -> "Dataset":
    """Samples that a manifest takes, from its data set or from an .npz file.

    Args:
        manifest: the integer program.
        data: folder of the data set, or an .npz file.
        window: steps of the windows that a recording is cut into; the training's if None.

    Raises:
        SsmHdlError: nothing fits, or the files are missing or damaged.
    """
    from ssm_hdl.samples import InputSpec
    from ssm_hdl.sw.data import SPECS, load_for

    inputs, edge, output = inputs_of(manifest), manifest.input, manifest.output
    if inputs is None:
        if data is None or data.suffix != ".npz":
            known = ", ".join(
                f"{spec.name} ({spec.steps} steps of {spec.input_format})"
                for spec in SPECS.values()
            )
            raise UsageError(
                f"no data set has sequences of {manifest.steps} steps of {edge.size} x "
                f"{edge.format} and {output.size} classes, which {manifest.name} takes; "
                f"there are {known}; give your own with --data FILE.npz"
            )
        # A manifest by hand does not say what it was trained on;
        # its ports say which codes and labels there can be.
        classes, mean, std = (
            output.size if output.size > 1 else 0,
            (0.0,) * edge.size,
            (1.0,) * edge.size,
        )
        inputs = InputSpec(
            manifest.name,
            str(edge.format),
            mean,
            std,
            manifest.steps,
            classes,
            targets=int(not classes),
        )
        inputs = replace(inputs, per_step=not output.per_sequence)
    return load_for(inputs, data, progress=True, window=window)


def split_of(dataset: "Dataset", name: str, count: int | None) -> "Split":
    """The first ``count`` samples of one part of a data set.

    Raises:
        SsmHdlError: there is no such part.
    """
    if name not in SPLITS:
        raise UsageError(f"a data set has no part {name!r}; there are {', '.join(SPLITS)}")
    split: Split = dataset.all() if name == "all" else getattr(dataset, name)
    if not len(split):
        raise SsmHdlError(f"{dataset.name} has no samples in its part {name}; choose another")
    return split.head(count)


def samples_of(
    manifest: "Manifest",
    source: str,
    data: Path | None,
    count: int | None,
    seed: int = 0,
    window: int | None = None,
) -> "Split":
    """Sequences for a manifest, checked; without labels where they are not from a data set.

    Args:
        manifest: the integer program.
        source: ``random``, the name of a part of the data set that the manifest is for,
            or a .npy file of integer codes.
        data: folder of the data set, or an .npz file.
        count: sequences; all of a file or a data set, and 10 random ones, if None.
        seed: of the random ones.
        window: steps of the windows that a recording is cut into.

    Raises:
        SsmHdlError: no such file or part of a data set, or samples that the manifest does not take.
    """
    from ssm_hdl.samples import UNLABELLED
    from ssm_hdl.sw.data import Split

    edge = manifest.input
    if source in SPLITS:
        split = split_of(dataset_of(manifest, data, window), source, count)
        manifest.check_samples(split.codes)
        return split
    if data or window:
        raise UsageError(
            f"--data and --window go with --samples {', '.join(SPLITS)}, not with {source}"
        )
    if source == "random":
        shape = (count or 10, manifest.steps, edge.size)
        codes = np.random.default_rng(seed).integers(edge.format.min, edge.format.max + 1, shape)
    elif not source.endswith(".npy"):
        raise UsageError(
            f"there are no samples {source!r}; there are random, {', '.join(SPLITS)}, "
            "or a .npy file of codes"
        )
    else:
        codes = manifest.check_samples(_read(Path(source))[:count])
    return Split(
        codes, np.full(codes.shape[: 1 if manifest.output.per_sequence else 2], UNLABELLED)
    )


def _read(path: Path) -> np.ndarray:
    """The array of a .npy file."""
    try:
        samples = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise SsmHdlError(
            f"{path} does not exist; there are random, {', '.join(SPLITS)}, or a .npy file"
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise SsmHdlError(
            f"{path} is not a .npy file of numbers ({error}); write one with numpy.save"
        ) from error
    if not isinstance(samples, np.ndarray):
        raise SsmHdlError(
            f"{path} holds several arrays; give them with --data, and name a part of them: "
            f"{', '.join(SPLITS)}"
        )
    if samples.ndim == 0 or len(samples) == 0:
        raise SsmHdlError(f"{path} holds no sequence")
    return samples
