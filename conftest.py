"""What every test and doctest of the repository shares."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _numpy_in_doctests(doctest_namespace):
    """Let docstring examples write `np` without importing it each time."""
    doctest_namespace["np"] = np
