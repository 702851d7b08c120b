"""Threads that calls share: all tasks once, errors, limits, forks."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gradkit
from gradkit import _threads as threads
from gradkit._threads import each, in_parallel, limit
from gradkit.errors import ArgumentValueError


@pytest.fixture(autouse=True)
def four(monkeypatch):
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "4")


def test_every_task_is_done_once_by_several_threads():
    done, names = [], set()

    def worker():
        names.add(threading.current_thread().name)
        return lambda task: (time.sleep(0.002), done.append(task))

    in_parallel(worker, range(100), 4)
    assert sorted(done) == list(range(100))
    assert len(names) == 4


@pytest.mark.parametrize("count", [0, 1, 100])
def test_what_is_made_of_each_task_comes_in_order(count):
    def square(n):
        time.sleep(0.001 * (n % 3))
        return n * n

    assert each(square, range(count)) == [n * n for n in range(count)]


@pytest.mark.parametrize("wanted", [1, 2])
def test_no_more_threads_than_wanted(wanted):
    names = []

    def worker():
        names.append(threading.current_thread().name)
        return lambda task: time.sleep(0.002)

    in_parallel(worker, range(20), wanted)
    assert len(names) == wanted


def test_calls_at_once_share_the_limit():
    lock, busy, most = threading.Lock(), 0, 0

    def worker():
        def do(task):
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.002)
            with lock:
                busy -= 1

        return do

    calls = [threading.Thread(target=in_parallel, args=(worker, range(40), 4)) for _ in range(3)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    # Each caller has a thread of its own beside those that are shared.
    assert most <= 4 + 2
    assert threads._crew.busy == 0


def test_the_first_error_stops_all_threads_and_is_raised():
    done = []

    def worker():
        def do(task):
            if task == 3:
                raise KeyError(task)
            time.sleep(0.001)
            done.append(task)

        return do

    with pytest.raises(KeyError, match="3"):
        in_parallel(worker, range(10_000), 4)
    assert len(done) < 1000
    assert threads._crew.busy == 0


def test_where_no_thread_can_be_started_the_caller_does_the_rest(monkeypatch):
    started, start = [], threading.Thread.start

    def start_one(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threads, "_crew", threads._Crew())
    monkeypatch.setattr(threading.Thread, "start", start_one)
    done = []
    in_parallel(lambda: lambda task: (time.sleep(0.001), done.append(task)), range(50), 4)
    assert sorted(done) == list(range(50))
    assert threads._crew.busy == 0


def test_a_call_at_exit_is_served(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, numpy as np, gradkit\n"
        "f = np.random.default_rng(0).random((1000, 1000))\n"
        "call = lambda: print(np.array_equal(gradkit.gradient(f)[0], np.gradient(f)[0]))\n"
        "call()\n"
        "atexit.register(call)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["True", "True"], "")


def test_where_the_limit_comes_from(monkeypatch):
    assert limit() == 4
    monkeypatch.setenv("GRADKIT_NUM_THREADS", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert limit() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")  # one number per level of nesting
    assert limit() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert limit() == threads._default()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= limit() <= threads.MOST_THREADS


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5"])
def test_a_limit_that_is_no_number_of_threads(monkeypatch, value):
    monkeypatch.setenv("GRADKIT_NUM_THREADS", value)
    with pytest.raises(ArgumentValueError, match=r"GRADKIT_NUM_THREADS='.*': wanted a positive"):
        limit()


def large_gradient(seed):
    f = np.random.default_rng(seed).random((1000, 1000))
    return float(np.abs(gradkit.gradient(f, 0.1)[0] - np.gradient(f, 0.1, axis=0)).max())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_have_threads_of_their_own(start):
    assert large_gradient(0) == 0  # the threads of this process are there before it forks
    with multiprocessing.get_context(start).Pool(2) as pool:
        assert pool.map_async(large_gradient, [1, 2, 3]).get(timeout=120) == [0, 0, 0]


def test_eight_threads_at_once():
    found = []
    calls = [threading.Thread(target=lambda i=i: found.append(large_gradient(i))) for i in range(8)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert found == [0] * 8


def test_chunks_of_dask_in_its_threads():
    da = pytest.importorskip("dask.array")
    f = np.random.default_rng(1).random((600, 700))
    lazy = gradkit.gradient(da.from_array(f, chunks=(200, 350)), 0.1)
    for ours, theirs in zip(lazy, np.gradient(f, 0.1), strict=True):
        np.testing.assert_array_equal(ours.compute(scheduler="threads", num_workers=4), theirs)


def interrupted_after(seconds, do):
    """Call a function, and interrupt it as Ctrl-C does; raises what comes of that."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        do()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


has_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers of Unix")


@has_timers
def test_an_interrupt_waits_for_the_other_threads():
    begun, ended = [], []

    def do(task):
        if threading.current_thread() is threading.main_thread():
            while not begun:
                time.sleep(0.001)
            return
        begun.append(task)
        time.sleep(0.6)
        ended.append(task)

    with pytest.raises(KeyboardInterrupt):
        interrupted_after(0.2, lambda: in_parallel(lambda: do, range(8), 3))
    assert begun
    assert sorted(begun) == sorted(ended)
    assert threads._crew.busy == 0


def test_an_interrupt_while_threads_are_started_stops_those_that_were(monkeypatch):
    begun, ended = threading.Event(), []

    def do(task):
        begun.set()
        time.sleep(0.05)
        ended.append(task)

    class Crew(threads._Crew):
        asked = 0

        def ask(self, others, do):
            self.asked += 1
            if self.asked == 2:
                assert begun.wait(60)
                raise KeyboardInterrupt
            super().ask(others, do)

    monkeypatch.setattr(threads, "_crew", Crew())
    with pytest.raises(KeyboardInterrupt):
        in_parallel(lambda: do, range(100), 4)
    before = len(ended)
    time.sleep(0.2)
    assert before == len(ended) < 5
    assert threads._crew.busy == 0


def test_calls_after_an_interrupt_anywhere_are_served_in_threads():
    in_parallel(lambda: lambda task: time.sleep(0.001), range(20), 4)  # threads are there
    running, events, where = [], 0, 0

    def do(task):
        running.append(task)
        time.sleep(0.0005)
        running.remove(task)

    def interrupts(frame, event, argument):
        nonlocal events
        if event in ("call", "return") and frame.f_code is not do.__code__:
            events += 1
            if events == where:
                raise KeyboardInterrupt
        return interrupts

    def call():
        tracer = sys.gettrace()  # that of coverage
        sys.settrace(interrupts)
        try:
            in_parallel(lambda: do, range(12), 4)
        finally:
            sys.settrace(tracer)

    def helpers():
        names = set()

        def worker():
            names.add(threading.current_thread().name)
            return lambda task: time.sleep(0.002)

        after = threading.Thread(target=in_parallel, args=(worker, range(12), 4), daemon=True)
        after.start()
        after.join(20)
        assert not after.is_alive()
        return len(names) - 1

    interrupted = 0
    while where < 60:
        events, where = 0, where + 1
        try:
            call()
        except KeyboardInterrupt:
            interrupted += 1
        assert running == []
        assert threads._crew.busy == 0
        assert helpers()
    assert interrupted > 10
