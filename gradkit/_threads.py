"""Threads that calls share: as many as there are cores, however many calls run at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TypeVar

import numpy as np

from gradkit.errors import ArgumentValueError

__all__ = ["each", "in_blocks", "in_parallel", "limit", "worth_calling"]

Task = TypeVar("Task")
Result = TypeVar("Result")

#: More threads than this do not copy faster on one socket.
MOST_THREADS = 8
#: Bytes of results per thread, at least: to write half of them takes as long as to wake a thread.
SHARE = 2**20
#: Environment variables that say how many threads to use, the first that is set counts. Process
#: pools (joblib, dask.distributed) set the second one in their workers.
VARIABLES = ("GRADKIT_NUM_THREADS", "OMP_NUM_THREADS")


def limit() -> int:
    """The number of threads that all calls of this process together use at most.

    Raises
    ------
    ArgumentValueError
        If ``GRADKIT_NUM_THREADS`` is not a positive integer.
    """
    for variable in VARIABLES:
        # OpenMP takes one number per level of nesting.
        value = os.environ.get(variable, "").partition(",")[0].strip()
        if value.isdecimal() and int(value):
            return int(value)
        if value and variable == VARIABLES[0]:
            raise ArgumentValueError(f"{variable}={value!r}: wanted a positive number of threads")
    return _default()


def _default() -> int:
    """As many as there are cores for this process."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    return min(os.cpu_count() or 1, MOST_THREADS)


def worth_calling(size: int) -> int:
    """The number of threads that pay for so many bytes of results."""
    shares = size // SHARE
    return min(limit(), shares) if shares > 1 else 1


class _Crew:
    """The threads of this process beside those that call, made when they are first wanted.

    An interrupt may come anywhere in a call. Locks and queues that are not of C, those of
    `ThreadPoolExecutor` too, can be left locked by one, and then all calls after it would hang.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.counted = 0
        #: What has been given back, but is still counted.
        self.given_back: deque[int] = deque()
        self.size = 0
        self.wanted: SimpleQueue[Callable[[], None]] = SimpleQueue()

    @property
    def busy(self) -> int:
        """How many threads work for calls, those that call included."""
        while self.given_back:
            # No interrupt comes between these two.
            self.counted -= self.given_back[0]
            self.given_back.popleft()
        return self.counted

    def join(self, call: _Help, wanted: int) -> int:
        """Count a caller as busy, and as many others as it may have; returns their number."""
        most = limit()
        with self.lock:
            others = max(min(wanted, most - self.busy) - 1, 0)
            # No interrupt comes between these two.
            self.counted += 1 + others
            call.counted = 1 + others
        return others

    def ask(self, others: int, do: Callable[[], None]) -> None:
        """Let one of that many threads at least do this."""
        with self.lock:
            while self.size < others:
                name = f"gradkit_{self.size}"
                Thread(target=_wait_for_work, args=(self.wanted,), name=name, daemon=True).start()
                self.size += 1
        self.wanted.put(do)


def _wait_for_work(wanted: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        do = wanted.get()
        do()
        del do  # and with it the arrays of the call


_crew = _Crew()


def _after_fork() -> None:
    """A forked process has none of the threads, and perhaps a lock that nobody will release."""
    global _crew  # noqa: PLW0603
    _crew = _Crew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Help:
    """Other threads that work for a call, which must not end before them: they use its memory."""

    def __init__(self) -> None:
        #: How many threads `_Crew.join` counted.
        self.counted = 0
        self.lock = Lock()
        self.is_over = False
        #: One lock per thread that has begun, which it holds until it is done.
        self.begun: list[Lock] = []
        self.errors: list[BaseException] = []

    def work(self, worker: Callable[[], Callable[[Task], None]], left: Iterator[Task]) -> None:
        """Do tasks in another thread, if the call is not over yet."""
        working = Lock()
        with working:
            with self.lock:
                if self.is_over:
                    return
                self.begun.append(working)
            try:
                _work(worker, left)
            except BaseException as error:  # noqa: BLE001 (the call raises it)
                self.errors.append(error)


def in_parallel(
    worker: Callable[[], Callable[[Task], None]], tasks: Iterable[Task], threads: int
) -> None:
    """Do all tasks, in this thread and in others that are free.

    Parameters
    ----------
    worker : callable
        Called once in every thread; returns the function that does one task.
    tasks : iterable
        What to do. Threads take the next task whenever they are done with one.
    threads : int
        How many threads to use at most, this one included.

    Notes
    -----
    Calls that run at the same time share `limit` threads, those that they were made from included.
    The first error stops all threads, and is raised when they have stopped; so does an interrupt.
    """
    # The iterator of a list hands out each task once, whichever threads ask.
    waiting = list(tasks)
    left = iter(waiting)
    crew = _crew
    call = _Help()
    try:
        others = crew.join(call, min(threads, len(waiting)))
        try:
            for _ in range(others):
                crew.ask(others, partial(call.work, worker, left))
        except RuntimeError:
            pass  # no more threads can be had, at exit for instance: this one does the rest
        _work(worker, left)
    finally:
        interrupt: BaseException | None = None
        # Written out here: an interrupt could come before a function of this began.
        while True:
            try:
                for _ in left:
                    pass
                with call.lock:
                    call.is_over = True
                for working in call.begun:
                    with working:
                        pass
                break
            except BaseException as error:  # noqa: BLE001 (what a handler of signals raises)
                interrupt = error
        crew.given_back.append(call.counted)
        if interrupt is not None:
            raise interrupt
    for error in call.errors:
        raise error


def each(do: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """What a function makes of each task, in order; in this thread, and in others that are free."""
    found: dict[int, Result] = {}

    def worker() -> Callable[[int], None]:
        return lambda i: found.update({i: do(tasks[i])})

    in_parallel(worker, range(len(tasks)), limit() if len(tasks) > 1 else 1)
    return [found[i] for i in range(len(tasks))]


def in_blocks(do: Callable[[int, int], Result], start: int, stop: int, size: int) -> list[Result]:
    """What a function makes of ``first <= row < last``, block by block, in all threads."""
    blocks = [(first, min(first + size, stop)) for first in range(start, stop, size)]
    if len(blocks) == 1:
        return [do(start, stop)]
    errors = np.geterr()

    def done(block: tuple[int, int]) -> Result:
        # Each thread has settings of its own.
        with np.errstate(**errors):
            return do(*block)

    return each(done, blocks)


def _work(worker: Callable[[], Callable[[Task], None]], left: Iterator[Task]) -> None:
    try:
        do = worker()
        for task in left:
            do(task)
    except BaseException:
        for _ in left:
            pass
        raise
