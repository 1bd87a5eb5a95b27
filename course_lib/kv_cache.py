"""The KV cache: keys and values of past tokens, kept so that they are computed once."""

from __future__ import annotations

import numpy as np

from course_lib.config import ModelConfig


class CacheFullError(ValueError):
    """More tokens than the cache has room for."""


class KVCache:
    """Keys and values of every layer for up to `max_seq_len` tokens.

    When the model has a sliding window no larger than that, only the last `sliding_window` tokens
    are kept: a new one takes the place of the oldest, and the cache never fills up.

    Parameters
    ----------
    config : ModelConfig
    max_seq_len : int

    Attributes
    ----------
    n_tokens : int
        Tokens that went in so far.
    n_slots : int
        Tokens that are kept at most.
    keys, values : np.ndarray of float32, shape (n_layers, n_kv_heads, n_slots, head_dim)

    References
    ----------
    Jiang et al. 2023, arXiv:2310.06825, figure 2 (rolling buffer cache).

    Examples
    --------
    >>> from course_lib.config import TINY_MISTRAL
    >>> KVCache(TINY_MISTRAL, max_seq_len=512).n_bytes
    1310720
    """

    def __init__(self, config: ModelConfig, max_seq_len: int) -> None:
        if max_seq_len < 1:
            raise ValueError(f"max_seq_len={max_seq_len}: a cache holds at least one token.")
        self.max_seq_len = max_seq_len
        self.rolling = config.sliding_window is not None and config.sliding_window <= max_seq_len
        self.n_slots = config.sliding_window if self.rolling else max_seq_len
        shape = (config.n_layers, config.n_kv_heads, self.n_slots, config.head_dim)
        self.keys = np.zeros(shape, dtype=np.float32)
        self.values = np.zeros(shape, dtype=np.float32)
        self.n_tokens = 0

    @property
    def n_bytes(self) -> int:
        """Memory of all keys and values."""
        return self.keys.nbytes + self.values.nbytes

    def require_room(self, n_new: int) -> None:
        """Raise CacheFullError unless `n_new` more tokens fit."""
        if not self.rolling and self.n_tokens + n_new > self.max_seq_len:
            raise CacheFullError(
                f"{n_new} more tokens do not fit: {self.n_tokens} of {self.max_seq_len} places "
                "are taken. Make a larger KVCache, or send fewer tokens."
            )

    def key_positions(self, n_new: int) -> np.ndarray:
        """Positions of the keys that `append` returns when `n_new` tokens come.

        Returns
        -------
        np.ndarray of int, shape (n_keys,)
        """
        end = self.n_tokens + n_new
        if end <= self.n_slots:
            return np.arange(end)
        kept = self._slot_positions(self.n_tokens)
        if n_new == 1:
            kept[self.n_tokens % self.n_slots] = self.n_tokens
            return kept
        return np.concatenate([kept, np.arange(self.n_tokens, end)])

    def append(self, layer: int, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Store new keys and values of one layer; return all that the new tokens may look at.

        `advance` says when all layers have had theirs.

        Parameters
        ----------
        layer : int
        k, v : np.ndarray, shape (n_new, n_kv_heads, head_dim)

        Returns
        -------
        keys, values : np.ndarray, shape (n_kv_heads, n_keys, head_dim)
            In the order of `key_positions`.

        Raises
        ------
        CacheFullError
            When there is no room.
        """
        n_new = len(k)
        self.require_room(n_new)
        return (
            self._append(self.keys[layer], k.swapaxes(0, 1)),
            self._append(self.values[layer], v.swapaxes(0, 1)),
        )

    def advance(self, n_new: int) -> None:
        """Count `n_new` tokens as stored in all layers."""
        self.n_tokens += n_new

    def _append(self, stored: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Write `new` (n_kv_heads, n_new, head_dim) into the slots of one layer."""
        start, n_new = self.n_tokens, new.shape[1]
        if start + n_new <= self.n_slots:
            stored[:, start : start + n_new] = new
            return stored[:, : start + n_new]
        if n_new == 1:
            stored[:, start % self.n_slots] = new[:, 0]
            return stored
        # Several tokens at once: the first of them still look at keys that the last replace.
        n_kept = min(start, self.n_slots)
        visible = np.concatenate([stored[:, :n_kept], new], axis=1)
        last = np.arange(max(start, start + n_new - self.n_slots), start + n_new)
        stored[:, last % self.n_slots] = new[:, last - start]
        return visible

    def _slot_positions(self, n_tokens: int) -> np.ndarray:
        """Which position each used slot holds after `n_tokens`."""
        slots = np.arange(min(n_tokens, self.n_slots))
        return slots + (n_tokens - 1 - slots) // self.n_slots * self.n_slots
