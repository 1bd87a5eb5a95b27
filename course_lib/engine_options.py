"""What can be set: how llama.cpp runs a model, and how an answer is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real

_MAX_N_CTX = 2**24  # more than any model was made for
_MAX_N_THREADS = 512  # with more, ggml never comes to an end
_RANDOM_SEED = 2**32 - 1  # with this one, llama.cpp draws its own


@dataclass(frozen=True)
class EngineSettings:
    """How llama.cpp runs a model.

    Attributes
    ----------
    n_ctx : int or None
        Tokens that prompt and answer may have together.
    n_threads, n_threads_batch : int or None
        Threads that compute new tokens, and those that compute a prompt.
    n_batch : int or None
        Tokens of a prompt that are computed together.
    n_gpu_layers : int or None
        Layers kept on a GPU; -1 for all.
    use_mmap : bool or None
        Whether the file is mapped into memory instead of read.
    use_mlock : bool
        Whether the system is forbidden to move the model out of memory.

    Notes
    -----
    What is None is chosen for the machine by `course_lib.hardware.recommend_settings`.

    Raises
    ------
    ValueError
        For a number that makes no sense.
    """

    n_ctx: int | None = None
    n_threads: int | None = None
    n_threads_batch: int | None = None
    n_batch: int | None = None
    n_gpu_layers: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool = False

    def __post_init__(self) -> None:
        ranges = {
            "n_ctx": (1, _MAX_N_CTX),
            "n_threads": (1, _MAX_N_THREADS),
            "n_threads_batch": (1, _MAX_N_THREADS),
            "n_batch": (1, _MAX_N_CTX),
            "n_gpu_layers": (-1, 2**31 - 1),
        }
        for name, (least, most) in ranges.items():
            if getattr(self, name) is not None:
                _require_integer(name, getattr(self, name), least, most)


@dataclass(frozen=True)
class GenerationOptions:
    """How an answer is drawn.

    Attributes
    ----------
    max_tokens : int
    temperature : float
        0 always takes the most likely token; higher is bolder.
    top_k, top_p, min_p, repeat_penalty
        As in `course_lib.sampling`; they matter from a temperature above 0.
    seed : int or None
        The same seed gives the same text; None draws a new one.
    stop : str or sequence of str
        The text ends before the first of these.

    Raises
    ------
    ValueError
        For a value that makes no sense.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    stop: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        _require_integer("max_tokens", self.max_tokens, 0, 2**31 - 1)
        _require_integer("top_k", self.top_k, 0, 2**31 - 1)
        _require_number("temperature", self.temperature, 0, 1e6)
        _require_number("top_p", self.top_p, 0, 1)
        _require_number("min_p", self.min_p, 0, 1)
        _require_number("repeat_penalty", self.repeat_penalty, 1e-6, 1e6)
        if self.seed is not None:
            _require_integer("seed", self.seed, 0, _RANDOM_SEED - 1)
        stops = [self.stop] if isinstance(self.stop, str) else self.stop
        if not isinstance(stops, Sequence) or not all(isinstance(stop, str) for stop in stops):
            raise ValueError(f"stop={self.stop!r} is neither a string nor a list of strings.")

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings as a tuple, without empty ones."""
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        return tuple(stop for stop in stops if stop)

    @classmethod
    def from_names(cls, options: dict[str, object]) -> GenerationOptions:
        """Make the options from their names; TypeError lists the names when one is wrong."""
        names = [field.name for field in fields(cls)]
        for name in options:
            if name not in names:
                raise TypeError(f"there is no option {name!r}. Choose from: {', '.join(names)}.")
        return cls(**options)


def _require_integer(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name}={value!r} is not a whole number from {least} to {most}.")


def _require_number(name: str, value: object, least: float, most: float) -> None:
    if not isinstance(value, Real) or not least <= value <= most:  # no comparison holds for NaN
        raise ValueError(f"{name}={value!r} is not a number from {least:g} to {most:g}.")
