"""A learner in a file: it goes on with the same bits, and a file that is not whole is refused."""

import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import owo
from owo import checkpoint, saved
from owo.checkpoint import Damaged
from tests.states import KINDS, LAWS, learner, mixed, same

KEPT = pathlib.Path(__file__).with_name("checkpoint-1.owo")


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_that_was_loaded_goes_on_with_the_same_bits(kind, tmp_path):
    block, path = mixed(kind), tmp_path / "learner.owo"
    whole, parted = learner(kind), learner(kind)
    for start in range(0, block.n, 350):
        piece = block.rows(start, min(start + 350, block.n))
        whole.run(piece)
        parted.run(piece)
        parted.save(path)
        parted = owo.OnlineWithinOnline.load(path)
        same(whole, parted)
    assert len(whole.ledger) and not whole.open_tasks
    np.testing.assert_array_equal(whole.adapt_each(block), parted.adapt_each(block))
    assert repr(whole.ledger) == repr(parted.ledger)


def test_a_file_saves_what_was_never_given_data_or_keys_of_every_kind(tmp_path):
    path = tmp_path / "new.owo"
    owo.OnlineWithinOnline(owo.Hinge(), metric=0.5, geometry=owo.geometry.Scalar(), inner=owo.GrowingFTRL(1.0)).save(
        path
    )
    again = owo.OnlineWithinOnline.load(path)
    assert again.d is None and again.geometry == owo.geometry.Scalar() and again._begin_metric(3).tolist() == [0.5]
    keys = [
        7,
        -3,
        2**70,
        1.5,
        True,
        "ü",
        b"\xff",
        (1, ("a", None)),
        np.datetime64("2020-02-01"),
        np.datetime64(3, "7D"),
    ]
    kept = owo.OnlineWithinOnline(owo.Absolute())
    for number, key in enumerate(keys):
        kept.learn_one([1.0, 2.0], float(number), key)
    kept.end_task(7)
    kept.save(path)
    again = owo.OnlineWithinOnline.load(path)
    assert again.ledger.keys == [7] and again.open_tasks == keys[1:]
    for key in keys[1:]:
        assert again.learn_one([1.0, 0.5], 1.0, key) == kept.learn_one([1.0, 0.5], 1.0, key)
    kept.learn_one([1.0, 2.0], 1.0, frozenset({1}))
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"task key frozenset.* cannot be written to a file; those that can are"):
        kept.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["new.owo"]


def test_points_one_by_one_go_on_with_the_same_bits_after_the_quick_door_was_made(tmp_path):
    block = mixed(n=400, tasks=5)
    one = owo.OnlineWithinOnline(owo.Squared(), **LAWS)
    for x, y, code in zip(block.X[:150], block.y[:150].tolist(), block.task[:150], strict=True):
        one.learn_one(x, y, int(code))
    one.save(tmp_path / "x.owo")
    other = owo.OnlineWithinOnline.load(tmp_path / "x.owo")
    for x, y, code in zip(block.X[150:], block.y[150:].tolist(), block.task[150:].tolist(), strict=True):
        assert one.predict_one(x, code) == other.predict_one(x, code)
        assert one.ask(x, code) == other.ask(x, code)
        assert one.tell(max(one.waiting), y) == other.tell(max(other.waiting), y)
    same(one, other)


def test_permissions_and_links_stay_and_what_is_no_file_is_told(tmp_path):
    one = learner("default")
    one.save(tmp_path / "x.owo")
    os.chmod(tmp_path / "x.owo", 0o600)
    (tmp_path / "link.owo").symlink_to("x.owo")
    one.run(mixed(n=20))
    one.save(tmp_path / "link.owo")
    assert (tmp_path / "link.owo").is_symlink() and os.stat(tmp_path / "x.owo").st_mode & 0o777 == 0o600
    same(one, owo.OnlineWithinOnline.load(tmp_path / "x.owo"))
    for path in (tmp_path, ""):
        with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
            one.save(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Damaged, match="it is no file"):
        owo.OnlineWithinOnline.load(tmp_path / "pipe")
    for key in (np.timedelta64(5, "ns"), 10**5000):
        strange = learner("default")
        strange.learn_one(np.ones(4), 1.0, key)
        with pytest.raises(TypeError, match="which cannot be written to a file"):
            strange.save(tmp_path / "y.owo")


@pytest.mark.parametrize("kind", ["full", "fixed", "rank one"])
def test_a_small_file_cannot_make_a_large_learner(kind, tmp_path):
    kept = learner(kind, metric=None) if kind == "fixed" else learner(kind)
    kept.run(mixed(n=20))
    about, arrays = saved.packed(kept)
    d = 60_000
    large = {name: np.zeros(d) for name in ("centre", "_total", "_theta")} | {"_pending": np.zeros(d + 1)}
    small = {name: array for name, array in arrays.items() if not name.startswith("map.")}
    checkpoint.write(tmp_path / "x.owo", {**about, "d": d}, {**small, **large})
    with pytest.raises(ValueError, match="and a metric in 60,000 dimensions"):
        owo.OnlineWithinOnline.load(tmp_path / "x.owo")


def test_parts_of_ones_own_are_passed_again_and_must_be_the_same(tmp_path):
    @owo.loss
    class Twice(NamedTuple):
        factor: float = 2.0

        def value(self, p, y):
            return self.factor * abs(p - y)

        def subgradient(self, p, y):
            return self.factor if p > y else -self.factor if p < y else 0.0

        def conjugate(self, s, y):
            return s * y if abs(s) <= self.factor else float("inf")

        def prox(self, p, y, step):
            return p - step * self.factor if p - y > step * self.factor else min(p + step * self.factor, y)

    path = tmp_path / "own.owo"
    own = owo.OnlineWithinOnline(Twice(), owo.GrowingFTRL(1.0), owo.Frozen())
    own.run(mixed(n=50))
    own.save(path)
    with pytest.raises(ValueError, match=r"Twice is not one of owo's; pass it to load, as in loss=learner.loss"):
        owo.OnlineWithinOnline.load(path)
    same(own, owo.OnlineWithinOnline.load(path, loss=Twice()))
    with pytest.raises(ValueError, match=r"loss was Twice\(factor=2.0\), and Twice\(factor=3.0\) was passed"):
        owo.OnlineWithinOnline.load(path, loss=Twice(3.0))
    with pytest.raises(ValueError, match=r"inner was GrowingFTRL\(strength=1.0\), and CoinBetting"):
        owo.OnlineWithinOnline.load(path, loss=Twice(), inner=owo.CoinBetting())


# ------------------------------------------------------------------------------------------------ damage, strangers


def test_every_byte_that_is_flipped_and_every_cut_is_refused(tmp_path):
    """The short form; the long one flips every bit of every byte of a larger file (see docs/reliability.md)."""
    path, bad = tmp_path / "whole.owo", tmp_path / "bad.owo"
    kept = learner("default")
    kept.run(mixed(n=30, tasks=3).rows(0, 20))
    kept.ask([1.0, 2.0, 3.0, 4.0], "task 1")
    kept.save(path)
    content = path.read_bytes()
    long = os.environ.get("OWO_LONG")
    refused = 0
    for at in range(len(content)):
        flips = [1 << bit for bit in range(8)] if long else [0xFF, 1 << (at % 8)]
        for damaged in (
            content[:at],
            *(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :] for flip in flips),
        ):
            bad.write_bytes(damaged)
            with pytest.raises(Damaged, match=r"bad\.owo is damaged or not a checkpoint: "):
                owo.OnlineWithinOnline.load(bad)
            refused += 1
    bad.write_bytes(content + b"\0")
    with pytest.raises(Damaged):
        owo.OnlineWithinOnline.load(bad)
    assert refused == len(content) * (9 if long else 3)


def test_a_file_that_a_stranger_made_with_a_right_checksum_is_refused_or_harmless(tmp_path):
    path = tmp_path / "strange.owo"
    for kind in ("spans", "diagonal", "rank one"):
        kept = learner(kind)
        kept.run(mixed(kind, n=60, tasks=5).rows(0, 50))
        about, arrays = saved.packed(kept)
        for name, array in arrays.items():
            for other in (array[:-1], np.concatenate([array, array])[: len(array) + 1], array.astype(np.uint8), None):
                if other is not None and (other.shape, other.dtype) == (array.shape, array.dtype):
                    continue
                parts = {**arrays, name: other} if other is not None else {k: v for k, v in arrays.items() if k != name}
                checkpoint.write(path, about, parts)
                with pytest.raises(ValueError, match="not a learner that this version of owo reads"):
                    owo.OnlineWithinOnline.load(path)
        for name in about:
            for value in (None, -1, "x", [], {}, {"law": "system", "ours": True, "fields": {}}):
                harmless = name in ("owo", "description") or (name, value) in (
                    ("d", None),
                    ("position", None),
                    ("skipped", {}),
                )
                if value == about[name] or harmless:  # a learner that has met nothing
                    continue
                checkpoint.write(path, {**about, name: value}, arrays)
                with pytest.raises(ValueError, match=r"strange\.owo"):
                    owo.OnlineWithinOnline.load(path)


def test_numbers_that_are_impossible_are_refused_before_compiled_code_meets_them(tmp_path):
    path = tmp_path / "strange.owo"
    kept = learner("spans")
    kept.run(mixed(n=60, tasks=5).rows(0, 50))
    about, arrays = saved.packed(kept)
    for name, value in (
        ("clock", [-1, 0, 0]),
        ("clock", [9, 9, 0]),
        ("spans.count", [10**9, 1]),
        ("spans.count", [1, 0]),
    ):
        checkpoint.write(path, about, {**arrays, name: np.array(value)})
        with pytest.raises(ValueError, match="not a learner that this version of owo reads"):
            owo.OnlineWithinOnline.load(path)


def with_header(header):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = checkpoint.MAGIC + len(raw).to_bytes(8, "little") + raw
    import hashlib

    return content + hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK\x03\x04", checkpoint.MAGIC, checkpoint.MAGIC + b"\xff" * 8, checkpoint.MAGIC + bytes(8) + bytes(32),
        with_header(b"{"), with_header(b"[" * 100_000), with_header({}),
        with_header({"format": 1, "arrays": 3, "about": {}}),
        with_header({"format": 1, "arrays": [["a", "<f8", [2**40]]], "about": {}}),
        with_header({"format": 1, "arrays": [["a", "|O", [1]]], "about": {}}),
        with_header({"format": 1, "arrays": [["a", "<f8", [-1]]], "about": {}}),
        with_header({"format": 1, "arrays": [["a", "<f8", [2**40, 2**40, 0]]] * 2, "about": {}}),
        with_header({"format": 1, "arrays": [], "about": []}),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(Damaged, match="other is damaged or not a checkpoint"):
        checkpoint.read(path)


def test_a_later_format_is_named(tmp_path):
    path = tmp_path / "later"
    path.write_bytes(with_header({"format": 2, "arrays": [], "about": {}}))
    with pytest.raises(Damaged, match="it has format 2, and this version of owo reads 1"):
        checkpoint.read(path)
    with pytest.raises(FileNotFoundError):
        owo.OnlineWithinOnline.load(tmp_path / "nowhere")


@given(st.binary(max_size=400), st.integers(0, 10**9))
def test_bytes_of_any_kind_are_refused(tmp_path_factory, content, where):
    """Beside plain bytes, a whole file in which some bytes were replaced."""
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    whole = KEPT.read_bytes()
    at = where % len(whole)
    for damaged in (content, checkpoint.MAGIC + content, whole[:at] + content + whole[at + len(content) :]):
        path.write_bytes(damaged)
        if damaged != whole:
            with pytest.raises(Damaged):
                checkpoint.read(path)


def test_a_file_of_the_first_format_is_still_read():
    """Made once by ``python -m tests.test_checkpoint`` and kept; never made anew for the same format."""
    kept = owo.OnlineWithinOnline.load(KEPT)
    fresh = made_for_keeps()
    assert kept.open_tasks == fresh.open_tasks and kept.waiting == fresh.waiting and kept.skipped == {"label": 2}
    np.testing.assert_allclose(kept.bias, fresh.bias, rtol=1e-9)
    np.testing.assert_allclose(kept.ledger.losses, fresh.ledger.losses, rtol=1e-9)
    assert kept.ledger.keys == fresh.ledger.keys
    kept.tell(1, 2.0)


def made_for_keeps():
    kept = owo.OnlineWithinOnline(owo.Absolute(), owo.AdaptiveNorm(1.0), owo.DualAveraging(0.1))
    kept.run(mixed(n=60, tasks=5).rows(0, 57))
    kept.ask([1.0, 0.0, 0.0, 1.0], kept.open_tasks[0])
    kept.skipped["label"] = 2
    return kept


if __name__ == "__main__":
    made_for_keeps().save(KEPT)
