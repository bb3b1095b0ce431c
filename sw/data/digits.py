"""scikit-learn's digits: 1,797 images of 8 x 8 pixels,
read in row order as sequences of 64 steps."""

from dataclasses import asdict

import numpy as np

from ssm_hdl.extras import need
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

SPEC = InputSpec(
    name="digits", input_format="UQ(1, 4)", mean=(0.305,), std=(0.376,), steps=64, classes=10
)
"""A pixel is 0 to 16, that is 0 to 1 in sixteenths; mean and std are taken over all pixels."""

SIZES = (1297, 150, 350)
"""Samples of the three parts."""

SEED = 0
"""Seed of the shuffle before the split, the same for every training."""


def load() -> Dataset:
    """Shuffle the digits with a fixed seed and split them: 1,297 for training, 150 for validation,
    350 for the test."""
    need("sklearn")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(labels))
    codes = images[order].astype(np.uint8)[..., None]
    parts = np.split(np.arange(len(labels)), np.cumsum(SIZES)[:-1])
    train, val, test = (Split(codes[part], labels[order][part].astype(np.int64)) for part in parts)
    return Dataset(**asdict(SPEC), train=train, val=val, test=test)
