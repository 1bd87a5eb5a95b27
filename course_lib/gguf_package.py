"""The `gguf` package without its optional tokenizers.

Where those are installed, importing them takes longer than a small model takes to answer.
"""

from __future__ import annotations

import sys

_UNUSED = "mistral_common"

_is_new = _UNUSED not in sys.modules
if _is_new:
    sys.modules[_UNUSED] = None  # makes its import fail, which `gguf` is prepared for
try:
    import gguf
    from gguf import constants, quants
finally:
    if _is_new:
        del sys.modules[_UNUSED]

__all__ = ["constants", "gguf", "quants"]
