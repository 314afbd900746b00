"""The disk cache of kernels is hit, is never stale, and survives damage."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import shutil
import textwrap

import numpy as np
import pytest
from processes import finish, run, start

import owo
from owo import _fingerprint, _record, kernels

SCRIPT = """
    import json, sys
    import numpy as np
    import owo
    from owo import kernels
    {imports}
    row = kernels.first_refused({loss}, np.arange(20.0) / 2.0)  # a kernel that is compiled in no time
    stats = kernels.first_refused.stats
    hits, misses = sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
    json.dump([row, hits, misses], sys.stdout)
"""

USERS_LOSS = """
    from typing import NamedTuple
    import owo
    from users_scale import weigh

    @owo.loss
    class Weighted(NamedTuple):
        weight: float = 1.0

        def accepts(self, y):
            return abs(y) < 1.5 * weigh(self.weight)

        def value(self, p, y):
            return weigh(self.weight) * abs(p - y)

        def subgradient(self, p, y):
            s = 1.0 if p > y else -1.0 if p < y else 0.0
            return weigh(self.weight) * s

        def conjugate(self, s, y):
            return s * y if abs(s) <= weigh(self.weight) else float("inf")

        def prox(self, p, y, step):
            a = step * weigh(self.weight)
            return p - a if p - y > a else p + a if p - y < -a else y
"""

HELPER = """
    from numba import njit

    @njit
    def weigh(weight):
        return {factor} * weight
"""


def script(folder, loss="owo.Hinge()", imports=""):
    path = folder / "job.py"
    path.write_text(textwrap.dedent(SCRIPT).format(loss=loss, imports=imports))
    return path


def test_an_edit_recompiles_and_nothing_else_does(tmp_path):
    """A loss in the user's own file, calling a helper in another one: an edit of either is seen at once."""
    (tmp_path / "users_loss.py").write_text(textwrap.dedent(USERS_LOSS))
    (tmp_path / "users_scale.py").write_text(textwrap.dedent(HELPER).format(factor=1.0))
    job = script(tmp_path, "Weighted()", "from users_loss import Weighted")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    first = json.loads(run(job, **cache))
    assert first == [3, 0, 1]
    assert json.loads(run(job, **cache)) == [first[0], 1, 0]
    loss = (tmp_path / "users_loss.py").read_text()
    (tmp_path / "users_loss.py").write_text(loss.replace("return abs(y) < 1.5", "return abs(y) < 2.5"))
    assert json.loads(run(job, **cache)) == [5, 0, 1]
    (tmp_path / "users_loss.py").write_text(loss)
    (tmp_path / "users_scale.py").write_text(textwrap.dedent(HELPER).format(factor=3.0))
    assert json.loads(run(job, **cache)) == [9, 0, 1]


def test_kernels_depend_on_all_that_numba_looks_up_by_itself():
    package = pathlib.Path(owo.__file__).parent
    texts = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in package.rglob("*.py")}
    found = {name for name, text in texts.items() if re.search(r"^@(intrinsic|overload)", text, re.MULTILINE)}
    alone = {name for name in found if re.search(r"^@(lean_|quick_)?kernel$", texts[name], re.MULTILINE)}
    assert found - alone <= set(_fingerprint.OVERLOADING) <= found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A script, its cache, and what it said in two processes that began with none at the same time."""
    folder = tmp_path_factory.mktemp("compiled")
    job, cache = script(folder), {"NUMBA_CACHE_DIR": str(folder / "cache")}
    return job, folder / "cache", [json.loads(finish(p)) for p in [start(job, **cache) for _ in range(2)]]


@pytest.fixture
def cached(compiled, tmp_path):
    """The script, what it said, and a copy of its cache: the files, and the variable that names their folder."""
    job, folder, outcomes = compiled
    shutil.copytree(folder, tmp_path / "cache")
    files = sorted((tmp_path / "cache").rglob("*.nbc"))
    assert files
    return job, outcomes[0][0], files, {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}


def test_two_processes_may_compile_at_once(compiled):
    job, folder, outcomes = compiled
    assert outcomes[0][0] == outcomes[1][0]
    assert json.loads(run(job, NUMBA_CACHE_DIR=str(folder))) == [outcomes[0][0], 1, 0]


def test_damaged_cache_files_are_compiled_anew(cached):
    job, total, files, cache = cached
    for damage in (lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:]):
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        assert json.loads(run(job, **cache)) == [total, 0, 1]
        for content in [file.read_bytes() for file in files]:  # written anew, and whole
            assert hashlib.sha256(content[32:]).digest() == content[:32] and len(content) > 32
    assert json.loads(run(job, **cache)) == [total, 1, 0]


def test_old_editions_are_swept_away(cached):
    job, total, files, cache = cached
    for file in files:  # as if another version of the package had written them
        stem, _, name, suffix = file.name.rsplit(".", 3)
        file.rename(file.with_name(f"{stem}.0123456789ab.{name}.{suffix}"))
    assert json.loads(run(job, **cache)) == [total, 0, 1]
    assert sorted(pathlib.Path(cache["NUMBA_CACHE_DIR"]).rglob("*.nbc")) == files


def test_kernels_work_where_no_cache_can_be_written(monkeypatch):
    def nowhere(function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(_record, "KernelCache", nowhere)
    double = _record.kernel(lambda x: 2.0 * x)
    assert double(4.0) == 8.0


def test_a_full_disk_costs_only_the_cache(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    triple = _record.kernel(lambda x: 3.0 * x)
    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    assert triple(4.0) == 12.0


def test_records_restored_in_a_process_without_the_class_are_a_miss():
    kind = _record.RecordType((), owo.Absolute)
    restore, (label, module, fields) = kind.__reduce__()
    assert restore(label, module, fields) == kind
    with pytest.raises(KeyError):
        restore("owo.losses.Absolute.0000", module, fields)


def test_cumulative_sums_carry_their_rounding():
    values = np.array([1.0, 1e100, 1.0, -1e100] * 1000)
    assert kernels.cumulative(values)[-1] == 2000.0
