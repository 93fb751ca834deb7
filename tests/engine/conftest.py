"""What several tests of the engines begin with: a random VGG-19, and one thread where pictures are tiny."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import random_vgg


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Where others are at work, pictures as small as these wait longer for a second thread than they take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file with a random VGG-19."""
    with random_vgg.written(tmp_path_factory.mktemp("weights")) as path:
        yield path
