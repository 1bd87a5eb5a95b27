"""Work for a few threads, shared fairly among those who ask for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable

Job = Callable[[], None]


class FairQueue:
    """Run jobs in worker threads: each key in turn, and one job of a key at a time.

    Whoever has many jobs waits behind everyone who has one. A worker lives only while there are
    jobs, so an idle queue has no thread.

    Parameters
    ----------
    n_workers : int
        Jobs that may run at once.

    Examples
    --------
    >>> done, gate = [], threading.Event()
    >>> queue = FairQueue()
    >>> queue.submit("first", lambda: gate.wait())
    >>> for name in ("Mina 1", "Mina 2", "Jun 1"):
    ...     queue.submit(name.split()[0], lambda name=name: done.append(name))
    >>> gate.set()
    >>> queue.join()
    >>> done
    ['Mina 1', 'Jun 1', 'Mina 2']
    """

    def __init__(self, n_workers: int = 1) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be at least 1, not {n_workers}")
        self._n_workers = n_workers
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, deque[Job]] = {}  # a key stays here while its job runs
        self._ready: deque[Hashable] = deque()  # keys with a job and none running, in turn
        self._workers: set[threading.Thread] = set()

    def submit(self, key: Hashable, job: Job) -> None:
        """Add a job, which must not raise."""
        with self._lock:
            if key not in self._jobs:
                self._jobs[key] = deque()
                self._ready.append(key)
            self._jobs[key].append(job)
            if len(self._workers) < min(self._n_workers, len(self._jobs)):
                worker = threading.Thread(target=self._work, name="fair-queue")
                self._workers.add(worker)
                worker.start()

    def join(self) -> None:
        """Wait until no job is left."""
        while True:
            with self._lock:
                workers = self._workers - {threading.current_thread()}
            if not workers:
                return
            for worker in workers:
                worker.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, job = taken
            try:
                job()
            finally:
                self._finish(key)

    def _take(self) -> tuple[Hashable, Job] | None:
        with self._lock:
            if not self._ready:
                self._workers.discard(threading.current_thread())
                return None
            key = self._ready.popleft()
            return key, self._jobs[key].popleft()

    def _finish(self, key: Hashable) -> None:
        with self._lock:
            if self._jobs[key]:
                self._ready.append(key)
            else:
                del self._jobs[key]
