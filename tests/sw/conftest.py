"""Torch on one thread: pytest-xdist has the other cores, and threads that wait for each other are slow."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)
