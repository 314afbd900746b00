"""Compiled equals plain Python, for the pairs of a loss and an inner law of test_certificates.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from games import LOSSES, PAIRS
from pairs import results
from processes import HERE, run


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """All pairs in plain Python."""
    out = tmp_path_factory.mktemp("plain") / "plain.npz"
    run(HERE / "pairs.py", out, NUMBA_DISABLE_JIT="1")
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


def test_compiled_equals_plain_python(plain):
    compiled = results()
    assert len(compiled) == len(plain) == 2 * len(PAIRS)
    for pair, ours in compiled.items():
        # dot products are summed in another order
        assert np.allclose(ours, plain[pair], rtol=1e-12, atol=1e-12), pair


def test_compiled_equals_plain_python_bit_for_bit_without_reordering(plain, tmp_path):
    """Under OWO_STRICT=1 nothing is reordered: each loss and each law once, every bit the same."""
    out = tmp_path / "strict.npz"
    run(HERE / "pairs.py", out, "once", OWO_STRICT="1", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    with np.load(out, allow_pickle=False) as strict:
        assert len(strict.files) == 2 * len(LOSSES)
        for pair in strict.files:
            assert np.array_equal(strict[pair], plain[pair]), pair


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    run(HERE / "pairs.py", tmp_path / "first.npz", "once")
    found = json.loads(run(HERE / "pairs.py", tmp_path / "second.npz", "once"))
    assert found == {"hits": len(LOSSES), "misses": 0}
