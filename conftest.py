"""What every test and doctest of the repository shares."""

import os

import numpy as np
import pytest

os.environ["TQDM_DISABLE"] = "1"  # kernels inherit it: a bar would be one output more, when slow


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace):
    """Let docstring examples write `np` without importing it each time."""
    doctest_namespace["np"] = np
