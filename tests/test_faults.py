"""What fails around a learner: processes that are killed, disks that are full, rows that are bad, runs without an end.

Each test has a short form, which runs with the suite, and a long one: ``make faults`` (OWO_LONG=1). The figures of the
long forms stand in docs/reliability.md.
"""

import contextlib
import errno
import itertools
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import owo
from owo import checkpoint
from tests.states import KINDS, learner, mixed, same

LONG = bool(os.environ.get("OWO_LONG"))


# ----------------------------------------------------------------------------------------------------------- kill -9

RUN = """
import sys, time
import numpy as np, owo
from tests.states import learner
from tests.test_faults import Blocks

path, kind, slow = sys.argv[1], sys.argv[2], float(sys.argv[3])
try:
    one = owo.OnlineWithinOnline.load(path)
except FileNotFoundError:
    one = learner(kind)
one.run(one.rest_of(Blocks(kind, slow)), autosave=path, every=1e-9, progress=lambda *_: print("learned", flush=True))
"""


class Blocks:
    """A stream that can be taken up again; a little time passes between its blocks."""

    def __init__(self, kind, slow=0.0, start=0):
        self.kind, self.slow, self.position = kind, slow, start

    def identity(self):
        return {"kind": self.kind}

    def from_position(self, position):
        return Blocks(self.kind, self.slow, position)

    def __iter__(self):
        block = mixed(self.kind, n=6000, tasks=60)
        for start in range(self.position, block.n, 60):
            self.position = start + 60
            yield block.rows(start, start + 60)
            time.sleep(self.slow)


@pytest.mark.parametrize("kind", ["default", "diagonal"] if LONG else ["default"])
def test_a_run_that_is_killed_at_any_moment_ends_as_if_it_had_not_been(kind, tmp_path):
    """Short: 6 kills; long: 100 of each of two kinds; at random moments of a run that saves after every block."""
    kills = 100 if LONG else 6
    path, rng = tmp_path / "run.owo", random.Random(0)
    killed, positions = 0, []
    command = [sys.executable, "-c", RUN, str(path), kind, "0.004"]
    while killed < kills:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=pathlib.Path(__file__).parents[1])
        run.stdout.readline()  # it has learned a block, and is about to save it
        time.sleep(rng.uniform(0.0, 0.25))
        finished = run.poll() is not None
        run.kill()
        run.stdout.close()
        assert run.wait() in (0, -signal.SIGKILL)
        killed += not finished
        if path.exists():
            positions.append(owo.OnlineWithinOnline.load(path).position["position"])  # whole, whenever it is looked at
            if finished or positions[-1] == 6000:
                path.unlink()
    assert len(set(positions)) > 3, "kills that hit nothing prove nothing"
    subprocess.run([*command[:-1], "0"], check=True, stdout=subprocess.DEVNULL, cwd=pathlib.Path(__file__).parents[1])
    whole = learner(kind)
    whole.run(Blocks(kind))
    again = owo.OnlineWithinOnline.load(path)
    same(whole, again)
    assert again.position is not None and again.position["position"] == 6000


# ----------------------------------------------------------------------------------------- writes that fail, full disks


@contextlib.contextmanager
def failing(name, at, error):
    """The at-th call of a function of ``os`` fails; and so do all after it."""
    real, calls = getattr(os, name), itertools.count()

    def call(*arguments, **named):
        if next(calls) >= at:
            raise OSError(error, os.strerror(error))
        return real(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, call)
        yield calls


class Half:
    """A file whose at-th write writes half of what it was given, and fails."""

    def __init__(self, file, at):
        self.file, self.at, self.calls = file, at, 0

    def write(self, data):
        self.calls += 1
        if self.calls > self.at:
            self.file.write(memoryview(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *why):
        return self.file.__exit__(*why)


def states(tmp_path):
    """A learner as it was saved, and as it is now."""
    block = mixed(n=200, tasks=10)
    one = learner("default")
    one.run(block.rows(0, 100))
    one.save(tmp_path / "x.owo")
    old = (tmp_path / "x.owo").read_bytes()
    one.run(block.rows(100, 200))
    one.save(tmp_path / "y.owo")
    new = (tmp_path / "y.owo").read_bytes()
    (tmp_path / "y.owo").unlink()
    return one, old, new


@pytest.mark.parametrize("name", ["fsync", "replace", "chmod"])
def test_a_call_that_fails_leaves_the_old_state_and_nothing_else(name, tmp_path):
    one, old, new = states(tmp_path)
    with failing(name, 0, errno.EIO), pytest.raises(OSError, match=os.strerror(errno.EIO)):
        one.save(tmp_path / "x.owo")
    assert (tmp_path / "x.owo").read_bytes() == old and os.listdir(tmp_path) == ["x.owo"]
    one.save(tmp_path / "x.owo")
    assert (tmp_path / "x.owo").read_bytes() == new


def test_every_write_that_fails_leaves_the_old_state(tmp_path, monkeypatch):
    one, old, new = states(tmp_path)
    real = os.fdopen
    for at in range(100):
        files = []
        monkeypatch.setattr(os, "fdopen", lambda *a, at=at, files=files: files.append(Half(real(*a), at)) or files[0])
        try:
            one.save(tmp_path / "x.owo")
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert (tmp_path / "x.owo").read_bytes() == old and os.listdir(tmp_path) == ["x.owo"]
        else:
            break
    assert at == files[0].calls > 10 and (tmp_path / "x.owo").read_bytes() == new


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import owo
one = owo.OnlineWithinOnline.load(sys.argv[1])
for limit in range(0, int(sys.argv[2]), int(sys.argv[3])):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        one.save(sys.argv[1])
    except OSError as error:
        continue
    sys.exit(f"saved in {limit} bytes")
"""


def test_a_disk_that_is_full_at_any_byte_leaves_the_old_state(tmp_path):
    """The system itself refuses the writes: files may not grow beyond a limit."""
    _, old, _ = states(tmp_path)
    step = "13" if LONG else "397"
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "x.owo"), str(len(old)), step], check=True)
    assert (tmp_path / "x.owo").read_bytes() == old and os.listdir(tmp_path) == ["x.owo"]


def test_a_folder_that_is_not_there_is_told_and_the_run_goes_on(tmp_path, monkeypatch):
    one, block = learner("default"), mixed(n=200, tasks=10)
    with pytest.raises(FileNotFoundError):
        one.save(tmp_path / "none" / "x.owo")
    calls = itertools.count()
    real = checkpoint.write

    def write(*arguments):
        if next(calls) < 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*arguments)

    monkeypatch.setattr(checkpoint, "write", write)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        one.run((block.rows(start, start + 50) for start in range(0, 200, 50)), autosave=tmp_path / "x.owo", every=1e-9)
    assert [str(each.message)[:37] for each in told] == ["the learner could not be saved to " + str(tmp_path)[:3]] * 2
    assert "No space left on device" in str(told[0].message) and told[0].category is RuntimeWarning
    same(one, owo.OnlineWithinOnline.load(tmp_path / "x.owo"))


def test_what_killed_writers_left_behind_is_removed_when_it_is_old(tmp_path):
    for name, age in ((".x.owo-old.part", 2 * checkpoint.STALE), (".x.owo-new.part", 0.0), (".y.owo-old.part", 1e6)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    learner("default").save(tmp_path / "x.owo")
    assert sorted(os.listdir(tmp_path)) == [".x.owo-new.part", ".y.owo-old.part", "x.owo"]


# ------------------------------------------------------------------------------------------------------------ bad rows


def spoiled(seed, count=12, n=300):
    """Points of mixed tasks, some of which cannot be learned: numbers whose squares overflow."""
    rng, block = np.random.default_rng(seed), mixed(n=n, tasks=8)
    X = np.array(block.X)
    bad = np.sort(rng.choice(n, count, replace=False))
    X[bad, rng.integers(4, size=count)] = rng.choice([1e300, -1e300, 1e200], size=count)
    return owo.Block(X, block.y, block.task, block.ends, block.keys), bad


def without(block, bad):
    """The block without some rows; tasks end at their last rows that are left."""
    kept = np.setdiff1d(np.arange(block.n), bad)
    return owo.streams.from_arrays(block.X[kept], block.y[kept], [block.keys[code] for code in block.task[kept]])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("scores",)])
def test_points_that_overflow_are_skipped_and_counted_and_all_others_learned(kind):
    for seed in range(2):
        block, bad = spoiled(seed)
        with pytest.raises(FloatingPointError, match=f"overflowed at row {bad[0]} "):
            learner(kind).run(block)
        one, clean = learner(kind), learner(kind)
        one.run(block, bad="skip")
        assert one.skipped == {"overflow": len(bad)} and not one.open_tasks
        good = without(block, bad)
        clean.run(good)
        np.testing.assert_array_equal(one._clock, clean._clock)
        if kind not in ("implicit, by task",):  # there tasks whose last point is bad end later than without it
            np.testing.assert_allclose(one.bias, clean.bias, rtol=1e-9)
        if kind not in ("spans", "diagonal"):
            mine = dict(zip(one.ledger.keys, one.ledger.rounds, strict=True))
            assert mine == dict(zip(clean.ledger.keys, clean.ledger.rounds, strict=True))


def test_labels_that_the_loss_does_not_take_are_skipped_and_counted():
    block = mixed(n=100, tasks=5)
    y = np.where(block.y > 0.0, 1.0, -1.0)
    y[[0, 7, 99]] = (3.0, 0.5, 2.0)
    signs = owo.Block(block.X, y, block.task, block.ends, block.keys)
    with pytest.raises(ValueError, match=r"Hinge does not take the label 3\.0 at row 0"):
        owo.OnlineWithinOnline(owo.Hinge()).run(signs)
    one = owo.OnlineWithinOnline(owo.Hinge())
    ledger = one.run(signs, bad="skip", points=True)
    assert one.skipped == {"label": 3} and ledger.rounds.sum() == 97 and not one.open_tasks
    assert sum(len(each["loss"]) for each in ledger.points) == 97
    with pytest.raises(ValueError, match="bad is 'ignore'; it must be 'raise' or 'skip'"):
        one.run(signs, bad="ignore")


def test_overflows_and_labels_in_one_block_are_each_counted():
    X, y = np.ones((6, 2)), np.array([1.0, 1.0, 7.0, 1.0, -1.0, 1.0])
    X[[1, 4]] *= 1e300
    one = owo.OnlineWithinOnline(owo.Logistic(), owo.GrowingFTRL(1.0), owo.DualAveraging(0.1))
    one.run([(X, y)], bad="skip")
    assert one.skipped == {"overflow": 2, "label": 1} and one.ledger.rounds.tolist() == [3.0]
    with pytest.raises(ValueError, match="no point of the stream could be learned"):
        owo.OnlineWithinOnline(owo.Logistic()).run([(np.ones((2, 2)), [7.0, 7.0])], bad="skip")
    waits = owo.OnlineWithinOnline(owo.Hinge())
    waits.ask(np.ones(2), "a")
    block = owo.Block(np.ones((3, 2)), [1.0, 5.0, 1.0], [0, 0, 1], keys=["b", "a"])
    with pytest.raises(ValueError, match="task 'a' cannot end"):
        waits.run(block, bad="skip")
    assert waits.points_met == 0 and not waits.skipped


def test_bad_values_point_by_point_change_nothing():
    one, clean = learner("default"), learner("default")
    block = mixed(n=400, tasks=5)
    strange = [
        (np.array([1.0, np.nan, 0.0, 0.0]), 1.0), (np.array([1.0, np.inf, 0.0, 0.0]), 1.0), (["a", "b", "c", "d"], 1.0),
        (np.ones(4), math.nan), (np.ones(4), "one"), (np.ones(3), 1.0), (np.full(4, 1e300), 1.0), (None, 1.0),
        (np.ones(4), None), (np.ones((2, 4)), 1.0), (np.ones(4) * 1j, 1.0), (np.ones(4), [1.0, 2.0]),
    ]  # fmt: skip
    for number, (x, y, code) in enumerate(zip(block.X, block.y, block.task, strict=True)):
        bad_x, bad_y = strange[number % len(strange)]
        with pytest.raises((ValueError, TypeError, FloatingPointError)):
            one.learn_one(bad_x, bad_y, block.keys[code])
        assert one.learn_one(x, float(y), block.keys[code]) == clean.learn_one(x, float(y), block.keys[code])
    same(one, clean)


# ---------------------------------------------------------------------------------------------------------------- soak


def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the resident memory of a process")
def test_a_stream_without_an_end_keeps_its_memory_and_its_sums(capsys):
    """Short: 4 million points of a million tasks; long: 100 million points, 10 millions of them mixed."""
    points, n, d = (100_000_000 if LONG else 4_000_000), 4, 5
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, d))
    y = X @ (2.0 + rng.normal(size=d)) + rng.lognormal(sigma=3.0, size=len(X)) * rng.choice([-1.0, 1.0], len(X))
    task = np.repeat(np.arange(len(X) // n), n)
    one = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(1.0), owo.DualAveraging(1e-3), history="spans")
    exact, early, met = [], 0, 0
    while met < points:
        block = owo.Block(X, y, task, keys=range(met, met + len(X) // n))
        if met % 1_000_000 == 0:
            block = block.interleaved(met)
        ledger = one.run(block, points=True)
        exact.append(math.fsum(ledger.points.pop()["loss"].tolist()))
        met += len(X)
        early = early or (met >= 1_000_000 and resident())
    total = math.fsum(exact)
    apart = abs(ledger.cumulative_loss()[-1] - total) / total
    grown = resident() - early
    with capsys.disabled():
        if LONG:
            print(
                f"\n{met:,} points: sums {apart:.1e} from exact, memory {grown / 1e6:+.1f} MB after the first million"
            )
    assert ledger.n_tasks == points // n and int(ledger.rounds.sum()) == points
    assert apart <= 1e-12 and grown < 20e6
