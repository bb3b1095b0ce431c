"""Natural images for a model of CIFAR-10: crops of the two photographs of scikit-learn,
each with the class of the float model.

So ``ssm-hdl eval`` of its manifest gives the share of crops that integers and floats put into the
same class. ``python -m ssm_hdl.sw.studies.crops --help``.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from ssm_hdl.samples import InputSpec
from ssm_hdl.sw import importers
from ssm_hdl.sw.train import logits

SIDE = 32
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""Of the channels in [0, 1], as ``example.py`` of state-spaces/s4 has them."""


def crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Squares of both photographs, from 32 to 256 pixels wide, averaged down to 32:
    (count, 1024, 3)."""
    from sklearn.datasets import load_sample_images

    random, photographs = np.random.default_rng(seed), load_sample_images().images
    small = []
    for number in range(count):
        photograph, cell = photographs[number % len(photographs)], int(random.choice([1, 2, 4, 8]))
        row, column = (
            int(random.integers(size - SIDE * cell + 1)) for size in photograph.shape[:2]
        )
        square = photograph[row : row + SIDE * cell, column : column + SIDE * cell]
        small.append(square.reshape(SIDE, cell, SIDE, cell, 3).mean((1, 3)))
    return np.rint(small).astype(np.uint8).reshape(count, SIDE**2, 3)


def main(
    checkpoint: Annotated[
        Path, typer.Argument(help="State dict by example.py, with three inputs.")
    ],
    out: Annotated[Path, typer.Argument(help="Samples to write, an .npz file.")],
    norm_order: Annotated[str, typer.Option(help="prenorm or postnorm.")] = "postnorm",
    train: Annotated[int, typer.Option(min=1, help="Crops to calibrate on.")] = 64,
    test: Annotated[int, typer.Option(min=1, help="Crops to judge on.")] = 300,
) -> None:
    """Write crops with the classes of the float model."""
    split = np.repeat(["train", "val", "test"], [train, 1, test])
    x = crops(len(split))
    mean, std = (tuple(255 * value for value in values) for values in (MEAN, STD))
    spec = InputSpec(out.name, "UQ(8, 0)", mean, std, SIDE**2, len(CLASSES))
    model = importers.load(checkpoint, None, spec, norm_order=norm_order).model
    y = logits(model, torch.from_numpy(spec.normalise(x)), 16).argmax(1).numpy()
    np.savez(
        out,
        x=x,
        y=y,
        split=split,
        mean=mean,
        std=std,
        classes=CLASSES,
        channels=("red", "green", "blue"),
    )


if __name__ == "__main__":
    typer.run(main)
