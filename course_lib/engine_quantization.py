"""ggml's own quantizer: the other engine's opinion on the bytes of a format."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from course_lib.gguf_package import gguf
from course_lib.quantization_blocks import BLOCKS, N_WEIGHTS, require_weights


def engine_quantize(x: np.ndarray, name: str) -> np.ndarray:
    """Let ggml store rows of weights in a format.

    Parameters
    ----------
    x : np.ndarray of float32, shape (n_rows, n_cols)
    name : str
        As for `quantization.quantize`.

    Returns
    -------
    np.ndarray of uint8, shape (n_rows, bytes_per_row)

    Raises
    ------
    QuantizationError
        For an unknown format, another type or shape, NaN or infinity, or rows that cannot be cut
        into blocks.

    Examples
    --------
    >>> engine_quantize(np.ones((1, 32), np.float32), "Q8_0")[0, :4].tolist()
    [8, 32, 127, 127]
    """
    require_weights(x, name)
    n_rows, n_cols = x.shape
    rows = np.ascontiguousarray(x)
    blocks = np.zeros((n_rows, n_cols // N_WEIGHTS[name] * BLOCKS[name].itemsize), np.uint8)
    number = int(gguf.GGMLQuantizationType[name])
    _quantize_chunk()(number, rows.ctypes.data, blocks.ctypes.data, 0, n_rows, n_cols, None)
    return blocks


@cache
def _quantize_chunk() -> ctypes._CFuncPtr:
    """Find the function in the library that llama-cpp-python brings along."""
    from llama_cpp import llama_cpp as bindings
    from llama_cpp._ctypes_extensions import load_shared_library

    function = load_shared_library("ggml-base", bindings._base_path).ggml_quantize_chunk
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]
    function.restype = ctypes.c_size_t
    return function
