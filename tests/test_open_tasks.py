"""Many open tasks: memory stated and kept, on disk if asked, forgotten, one thread at a time, merged."""

import copy
import functools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import owo
from owo.slots import Slots
from tests.states import LAWS, learner, mixed, same

# --------------------------------------------------------------------------------------------------------- memory


def test_an_open_task_takes_the_memory_that_is_stated():
    """Arrays: 8 (d + s + 11) bytes, s numbers of the law's state; beside them the key and its entry."""
    for inner, d in ((owo.GrowingFTRL(1.0), 20), (owo.AdaptiveNorm(1.0), 7)):
        slots = Slots(d, inner)
        slots.take(1000)
        rows = len(slots.arrays.sums)
        held = sum(array.nbytes for array in slots.arrays)
        assert held == rows * 8 * (d + len(inner.start()) + 11) and rows < 2100


MANY = """
import resource, sys
import numpy as np, owo

def resident():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024

spill, count, d = int(sys.argv[1]), int(sys.argv[2]), 20
parts = {"spill": owo.Spill(spill)} if spill else {}
learner = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), history="spans", **parts)
rng = np.random.default_rng(0)
X = rng.normal(size=(5000, d))

def block(first):
    return owo.Block(X, X.sum(axis=1), np.arange(5000), np.zeros(5000, bool), range(first, first + 5000))

learner.run(block(0))
before = resident()
for first in range(5000, count, 5000):
    learner.run(block(first))
print(len(learner.open_tasks), (resident() - before) / (count - 5000))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the resident memory of a process")
def test_resident_memory_of_open_tasks_is_what_the_documentation_says():
    """200,000 of them; ``python -m benchmarks files`` has the million."""
    count = "200000"
    found = {}
    for spill in ("0", "10000"):
        done = subprocess.run([sys.executable, "-c", MANY, spill, count], capture_output=True, text=True, check=True)
        tasks, per_task = done.stdout.split()
        assert tasks == count
        found[spill] = float(per_task)
    arrays = 8 * (20 + 1 + 11)
    assert arrays * 0.9 < found["0"] < 2.0 * arrays + 250  # arrays double as they grow; keys and their entries
    assert found["10000"] < 250  # the keys stay


@pytest.mark.parametrize("parts", [{}, {**LAWS, "geometry": owo.geometry.Diagonal()}], ids=["coins", "diagonal"])
def test_tasks_on_disk_come_back_as_they_went(parts, tmp_path):
    block = mixed(n=6000, tasks=500)
    here = owo.OnlineWithinOnline(owo.Absolute(), **parts)
    there = owo.OnlineWithinOnline(owo.Absolute(), **parts, spill=owo.Spill(40, tmp_path))
    for start in range(0, 4000, 100):
        here.run(block.rows(start, start + 100))
        there.run(block.rows(start, start + 100))
        assert len(there._slots.keys) <= 40
    same(here, there)
    for r in range(4000, 4600):
        x, y, key = block.X[r], float(block.y[r]), block.keys[block.task[r]]
        assert here.predict_one(x, key) == there.predict_one(x, key)
        assert here.learn_one(x, y, key) == there.learn_one(x, y, key)
        assert len(there._slots.keys) <= 41
    there.save(tmp_path / "spilled.owo")
    again = owo.OnlineWithinOnline.load(tmp_path / "spilled.owo", spill=owo.Spill(10))
    assert len(again._slots.keys) <= 10
    for each in (here, there, again):
        each.end_task("task 7")
        each.forget("task 8")
        each.run(block.rows(4600, 6000))
    same(here, there)
    same(here, again)
    assert os.listdir(tmp_path) == ["spilled.owo"]  # scratch files have no name


def test_a_disk_that_takes_no_tasks_is_told_and_all_is_learned(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    here, there = learner("default"), learner("default", spill=owo.Spill(10))
    block = mixed(n=200, tasks=40)
    here.run(block)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.warns(RuntimeWarning, match="open tasks stay in memory: .*No space left on device"):
        there.run(block.rows(0, 100))
    monkeypatch.undo()
    there.run(block.rows(100, 200))
    same(here, there)


def test_where_a_spill_cannot_serve_it_says_so():
    with pytest.raises(ValueError, match="Full keeps matrices of open tasks, which cannot be spilled"):
        learner("full", spill=owo.Spill(10)).run(mixed(n=10))
    spilling = learner("default", spill=owo.Spill(10))
    spilling.run(mixed(n=100).rows(0, 50))
    with pytest.raises(ValueError, match="cannot be widened"):
        spilling.widen(9)
    assert spilling.d == 4
    with pytest.raises(TypeError, match="cannot be copied; save it, and load the copy"):
        copy.deepcopy(spilling)


# --------------------------------------------------------------------------------------------------------- forget


@pytest.mark.parametrize("update", ["task", "point"])
def test_a_forgotten_task_begins_anew_and_certificates_stay_true(update):
    block = mixed(n=900, tasks=12)
    one = owo.OnlineWithinOnline(owo.Absolute(), **LAWS, update=update)
    one.run(block.rows(0, 300))
    gone = one.open_tasks[:5]
    bias = one.bias
    for key in gone:
        one.forget(key)
    np.testing.assert_array_equal(one.bias, bias)
    assert not set(gone) & set(one.open_tasks)
    for key in gone:
        np.testing.assert_array_equal(one.weights(key), bias)
    with pytest.raises(KeyError, match="is not open, so there is nothing to forget"):
        one.forget(gone[0])
    one.run(block.rows(300, 900))
    contiguous = [(task.X, task.y, f"later {task.key}") for task in mixed(n=300, tasks=9, seed=1).tasks()]
    one.run(contiguous)
    ledger = one.ledger
    rng = np.random.default_rng(0)
    kept = {key: [] for key in ledger.keys}
    for r in range(block.n):
        key = block.keys[block.task[r]]
        if r >= 300 or key not in gone:
            kept[key].append((block.X[r], block.y[r]))
    for X, y, key in contiguous:
        kept[key] = list(zip(X, y, strict=True))
    for scale in (0.0, 1.0, 30.0):
        u = 2.0 + scale * rng.normal(size=4)
        losses = np.array([sum(abs(x @ u - y) for x, y in kept[key]) for key in ledger.keys])
        ledger.check(owo.hindsight.Comparator("u", u, u[None], losses))
    if update == "point":
        assert ledger.pending[-1] > 0.0


# -------------------------------------------------------------------------------------------------------- threads


def at_once(jobs):
    """Run each in a thread of its own; the interpreter changes between them as often as it can."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)


def test_a_second_thread_is_told_and_no_update_is_lost():
    one, errors, done = learner("default"), [], []
    inside, go_on = threading.Event(), threading.Event()

    def stream():
        yield mixed(n=300)
        inside.set()
        go_on.wait(30)
        yield mixed(n=300, seed=1)

    thread = threading.Thread(target=lambda: done.append(one.run(stream())))
    thread.start()
    assert inside.wait(60)
    for act in (
        lambda: one.learn_one(np.ones(4), 1.0, "a"),
        lambda: one.run(mixed(n=20)),
        lambda: one.save("nowhere"),
        lambda: one.ask(np.ones(4), "a"),
        lambda: one.end_task("a"),
        lambda: one.predict(np.ones((2, 4))),
        lambda: one.bias,
        lambda: one.predict_one(np.ones(4)),
    ):
        try:
            act()
        except RuntimeError as error:
            errors.append(str(error))
    go_on.set()
    thread.join(60)
    assert sum("another thread is learning with this learner" in words for words in errors) == 8
    alone = learner("default")
    alone.run(mixed(n=300))
    alone.run(mixed(n=300, seed=1))
    same(one, alone)


@pytest.mark.parametrize(
    "many", [owo.Grid(owo.Absolute(), [owo.GrowingFTRL(1.0)], [owo.DualAveraging(0.1)]), owo.TuningFree(owo.Absolute()),
             owo.rkhs.KernelOnlineWithinOnline(owo.Absolute(), owo.rkhs.Gaussian(1.0))], ids=repr
)  # fmt: skip
def test_so_is_one_of_grids_mixtures_and_kernels(many):
    inside, go_on, found = threading.Event(), threading.Event(), []

    def stream():
        inside.set()
        go_on.wait(30)
        yield np.ones((2, 4)), np.ones(2)

    thread = threading.Thread(target=lambda: found.append(many.run(stream())))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(RuntimeError, match="another thread is learning with this learner"):
        many.run([(np.ones((2, 4)), np.ones(2))])
    go_on.set()
    thread.join(60)
    assert len(found[0]) == 1


def test_threads_that_hammer_one_learner_lose_nothing():
    """Every point is learned or refused aloud: the learner has met as many as were not refused."""
    one = learner("default")
    rows = np.random.default_rng(0).normal(size=(4000, 4))
    learned, refused, strange = [0] * 4, [0] * 4, []

    def work(number):
        for x in rows:
            try:
                one.learn_one(x, float(x.sum()), number % 2)
                learned[number] += 1
            except RuntimeError:
                refused[number] += 1
            except Exception as error:
                strange.append(error)

    at_once([functools.partial(work, number) for number in range(4)])
    assert not strange and sum(learned) + sum(refused) == 4 * len(rows)
    for key in list(one.open_tasks):
        one.end_task(key)
    assert one.ledger.rounds.sum() == sum(learned) > 0


def test_threads_that_read_while_tasks_go_to_disk_and_back_lose_none():
    one = owo.OnlineWithinOnline(owo.Absolute(), **LAWS, spill=owo.Spill(5))
    strange = []
    for number in range(300):
        one.learn_one(np.ones(2), 1.0, number % 30)

    def read(number):
        for step in range(600):
            try:
                one.predict_one(np.ones(2), (number + step) % 30)
                one.weights((number * 7 + step) % 30)
            except RuntimeError:
                pass
            except Exception as error:
                strange.append(error)

    at_once([functools.partial(read, number) for number in range(3)])
    assert not strange and sorted(one.open_tasks) == list(range(30)) and len(one._slots.keys) <= 6


# -------------------------------------------------------------------------------------------------------- merging


def test_merged_learners_begin_at_the_mean_and_lose_no_more_than_their_mean():
    rng = np.random.default_rng(0)
    parts = [owo.OnlineWithinOnline(owo.Absolute(), **LAWS) for _ in range(3)]
    for number, part in enumerate(parts):
        part.run([(X := rng.normal(size=(5, 4)), X @ (2.0 + rng.normal(size=4))) for _ in range(30 * (number + 1))])
    both = owo.merged(parts)
    shares = np.array([1, 2, 3]) / 6
    np.testing.assert_allclose(both.bias, sum(s * part.bias for s, part in zip(shares, parts, strict=True)), rtol=1e-12)
    np.testing.assert_allclose(owo.merged(parts, [0, 0, 5]).bias, parts[2].bias)
    for _ in range(50):
        X = rng.normal(size=(8, 4))
        y = X @ (2.0 + rng.normal(size=4))
        own = [np.abs(X @ part.bias - y).sum() for part in parts]
        assert np.abs(X @ both.bias - y).sum() <= shares @ own + 1e-9  # at the bias itself; convex
    assert len(both.run([(X, y)])) == 1


def test_learners_that_cannot_be_merged_are_told_why():
    one, other = (owo.OnlineWithinOnline(owo.Absolute(), **LAWS) for _ in range(2))
    one.run([(np.ones((2, 3)), np.ones(2))])
    with pytest.raises(ValueError, match="there are no learners"):
        owo.merged([])
    with pytest.raises(ValueError, match="learner 1 has met no data"):
        owo.merged([one, other])
    other.run([(np.ones((2, 4)), np.ones(2))])
    with pytest.raises(ValueError, match="learner 1 has d=4, learner 0 3"):
        owo.merged([one, other])
    with pytest.raises(ValueError, match="weights are"):
        owo.merged([one, one], [1.0])
    with pytest.raises(ValueError, match="needed 2 numbers of at least 0, not all 0"):
        owo.merged([one, one], [0.0, 0.0])
    one.learn_one(np.ones(3), 1.0, "open")
    with pytest.raises(ValueError, match=r"learner 0 has open tasks \('open' and 0 more\)"):
        owo.merged([one])


# ------------------------------------------------------------------------------------------------ keys of every kind


def many(keys, ends=False):
    """A block with two points of every key."""
    n = len(keys)
    flags = np.zeros(2 * n, dtype=bool)
    flags[n:] = ends
    task = np.concatenate([np.arange(n), np.arange(n)])
    X = np.random.default_rng(n).normal(size=(2 * n, 2))
    return owo.Block(X, X.sum(axis=1), task, flags, keys)


def test_a_table_of_whole_numbers_finds_what_a_dictionary_does():
    """Large blocks of whole numbers are looked up by a table; the same keys as text are not."""
    rng = np.random.default_rng(0)
    numbers, texts = (owo.OnlineWithinOnline(owo.Absolute(), **LAWS) for _ in range(2))
    for step in range(12):
        keys = rng.choice(4000, 1500, replace=False).tolist()
        ends = bool(step % 3 == 2)
        numbers.run(many(keys, ends))
        texts.run(many([str(key) for key in keys], ends))
        for key in (7, 5000 + step):
            assert numbers.learn_one(np.ones(2), 1.0, key) == texts.learn_one(np.ones(2), 1.0, str(key))
        if step % 4 == 3:
            numbers.end_task(7)
            texts.end_task("7")
        np.testing.assert_array_equal(numbers.bias, texts.bias)
    assert sorted(map(str, numbers.open_tasks)) == sorted(texts.open_tasks)
    assert list(map(str, numbers.ledger.keys)) == texts.ledger.keys


@pytest.mark.parametrize(
    "odd", [[(1,), (1, 2)], [-1, -2], [2**62, 2**70], [1.5, 2.0], [True, False], ["a", "b" * 3000], [np.int64(3), 3.5]],
    ids=lambda odd: str(odd)[:30],
)  # fmt: skip
def test_keys_that_are_no_table_are_found_all_the_same(odd):
    plain = [key + 10 for key in range(1500)]
    one = owo.OnlineWithinOnline(owo.Absolute(), **LAWS)
    one.run(many(plain))
    one.run(many(plain))
    one.run(many([*odd, *plain]))
    one.run(many(odd))
    one.run(many([*plain, *odd], ends=True))
    assert not one.open_tasks and len(one.ledger) == 1502 and one.ledger.rounds.sum() == one.points_met
    assert set(one.ledger.keys) == {*odd, *plain}


def test_of_few_tasks_in_memory_the_newest_stays():
    one = owo.OnlineWithinOnline(owo.Absolute(), spill=owo.Spill(1))
    for key in "ab":
        one.learn_one(np.ones(2), 1.0, key)
    for key in "cd":
        one.tell(one.ask(np.ones(2), key).ticket, 2.0)
        assert list(one._slots.keys) == [key]
    assert one.points_met == 4 and not one.waiting and sorted(one.open_tasks) == list("abcd")
    for key in "abcd":
        one.predict_one(np.ones(2), key)
        assert len(one._slots.keys) == 1
    for wrong, words in (
        (10, "needed owo.Spill"),
        (owo.Spill(0), "most is 0"),
        (owo.Spill(5, "/nowhere"), "no folder"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            owo.OnlineWithinOnline(owo.Absolute(), spill=wrong)


def test_threads_that_end_forget_and_tell_lose_nothing():
    one = owo.OnlineWithinOnline(owo.Absolute(), **LAWS)
    learned, told, strange, go_on = [0], [0, 0], [], threading.Event()
    one.learn_one(np.ones(2), 1.0, "a")

    def learn():
        for number in range(6000):
            try:
                one.learn_one(np.ones(2), float(number % 3), "ab"[number % 2])
                learned[0] += 1
            except RuntimeError:
                pass
        go_on.set()

    def end(number):
        while not go_on.is_set():
            try:
                if number:
                    one.end_task("ab"[number % 2])
                else:
                    ticket = one.ask(np.ones(2), "c").ticket
                    one.tell(ticket, 1.0)
                    told[0] += 1
            except (RuntimeError, KeyError):
                pass
            except Exception as error:
                strange.append(error)

    at_once([learn, *(functools.partial(end, number) for number in range(3))])
    for ticket in list(one.waiting):
        one.drop(ticket)
    for key in list(one.open_tasks):
        one.end_task(key)
    assert not strange and one.points_met == 1 + learned[0] + told[0] == one.ledger.rounds.sum()
    assert one._clock[2] == 0 and (one.ledger.rounds > 0).all()
