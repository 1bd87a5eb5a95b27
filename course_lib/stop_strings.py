"""End a stream of text before a stop string, also when the string comes in several pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """Yield `pieces` up to the first of `stops`, which itself is left out.

    Text that may turn out to be the beginning of a stop string is held back until that is
    known. Of several stop strings the one that is whole first counts.

    Examples
    --------
    >>> list(until_stop(["one t", "w", "o three"], ["two"]))
    ['one ']
    >>> list(until_stop(["one t", "ree"], ["two"]))
    ['one ', 'tree']
    """
    held = ""
    for piece in pieces:
        held += piece
        # (end, start) of each: the first to end is the one that a finer stream would meet first
        found = [(held.index(stop) + len(stop), held.index(stop)) for stop in stops if stop in held]
        if found:
            held = held[: min(found)[1]]
            break
        n_kept = max((_overlap(held, stop) for stop in stops), default=0)
        ready, held = held[: len(held) - n_kept], held[len(held) - n_kept :]
        if ready:
            yield ready
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
