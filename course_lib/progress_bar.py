"""A progress bar for what takes longer than two seconds, in a notebook or a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_DELAY_S = 2.0


def progress_bar(items: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """Wrap `items`, or make a bar to be moved by hand; it is gone when the work is done.

    Parameters
    ----------
    items : iterable, optional
    **options
        Those of `tqdm`: ``total``, ``unit``, ``desc`` …

    Returns
    -------
    tqdm
        Set ``TQDM_DISABLE=1`` in the environment to see none.

    Examples
    --------
    >>> [n * n for n in progress_bar(range(3))]
    [0, 1, 4]
    """
    from tqdm.auto import tqdm

    is_off = os.environ.get("TQDM_DISABLE", "") not in ("", "0")  # tqdm's notebook bar ignores it
    options["disable"] = options.get("disable", False) or is_off
    return tqdm(items, delay=_DELAY_S, leave=False, **options)
