"""Original files become the library's, and nothing is written that the library would not read."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from experiments.__main__ import main
from owo.streams import datasets


def schools(folder, rng, count=139, width=26, pupils=15362):
    lengths = rng.multinomial(pupils - count, np.full(count, 1 / count)) + 1
    X, Y = np.empty((1, count), dtype=object), np.empty((1, count), dtype=object)
    for k, n in enumerate(lengths):
        X[0, k], Y[0, k] = rng.choice([-1.0, 1.0], (width, n)), rng.integers(1, 71, (n, 1)).astype(float)
    scipy.io.savemat(folder / "schoolData.mat", {"X": X, "Y": Y})
    return folder / "schoolData.mat", X, Y


def lenk(folder, rng, rows=(2880, 720)):
    data = {name: np.column_stack((np.ones(n), rng.choice([-1.0, 1.0], (n, 13)), rng.integers(0, 11, n)))
            for name, n in zip(("Traindata", "Testdata"), rows, strict=True)}  # fmt: skip
    scipy.io.savemat(folder / "lenk_data.mat", data)
    return folder / "lenk_data.mat", data


def movies(folder, rng, ratings=100000):
    pairs = np.unique(np.concatenate([
        np.column_stack((np.arange(943), rng.integers(0, 1682, 943))),
        np.column_stack((rng.integers(0, 943, 1682), np.arange(1682))),
        np.column_stack((rng.integers(0, 943, 130000), rng.integers(0, 1682, 130000))),
    ]), axis=0)  # fmt: skip
    first = (
        np.unique(pairs[:, 0], return_index=True)[1].tolist() + np.unique(pairs[:, 1], return_index=True)[1].tolist()
    )
    rest = np.setdiff1d(np.arange(len(pairs)), first)
    kept = np.concatenate([np.unique(first), rng.permutation(rest)])[:ratings]
    rows = np.column_stack((pairs[kept] + 1, rng.integers(1, 6, len(kept)), np.full(len(kept), 881250949)))
    np.savetxt(folder / "u.data", rng.permutation(rows), fmt="%d", delimiter="\t")
    genres = rng.integers(0, 2, (1682, 19))
    lines = [f"{k + 1}|Caf\xe9 {k} (1995)|{'01-Jan-1995' if k % 7 else ''}||http://x|" + "|".join(map(str, genres[k]))
             for k in range(1682)]  # fmt: skip
    (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "u.genre").write_text("".join(f"genre{k}|{k}\n" for k in range(19)) + "\n")
    return folder, rows, genres


def jokes(folder, rng, ratings=615091, sparse=True):
    flat = rng.permutation(24938 * 100)
    flat = np.unique(np.concatenate([100 * np.arange(24938) + rng.integers(0, 100, 24938), flat[: ratings + 30000]]))
    keep = 100 * np.arange(24938) + 0  # everybody rates something
    flat = np.concatenate([keep, np.setdiff1d(flat, keep)])[:ratings]
    values = rng.choice([-9.95, -0.01, 0.5, 10.0], len(flat))
    matrix = scipy.sparse.csc_array((values, (flat // 100, flat % 100)), shape=(24938, 100))
    full = matrix.toarray()
    scipy.io.savemat(folder / "jester.mat", {"R": matrix if sparse else np.where(full == 0.0, 99.0, full)})
    return folder / "jester.mat", full


def prepared(name, source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert main(["prepare", name, str(source), "--out", str(out)]) == 0
    monkeypatch.setenv("OWO_DATA", str(out))
    return datasets.load(name)


def test_schools(tmp_path, monkeypatch):
    source, X, Y = schools(tmp_path, np.random.default_rng(0))
    table = prepared("schools", source, tmp_path, monkeypatch)
    assert np.array_equal(table.X, np.concatenate([each.T for each in X[0]]))
    assert np.array_equal(table.y, np.concatenate([each.ravel() for each in Y[0]])) and table.task[-1] == 138


def test_lenk(tmp_path, monkeypatch):
    source, data = lenk(tmp_path, np.random.default_rng(1))
    table = prepared("lenk", source, tmp_path, monkeypatch)
    third = table.task == 2
    expected = np.concatenate([data["Traindata"][32:48], data["Testdata"][8:12]])
    assert np.array_equal(np.column_stack((table.X[third], table.y[third])), expected)
    with np.load(tmp_path / "out" / "lenk.npz") as held:
        assert held["is_test"].reshape(180, 20).sum(axis=0).tolist() == [0] * 16 + [180] * 4


def test_movies(tmp_path, monkeypatch):
    source, rows, genres = movies(tmp_path, np.random.default_rng(2))
    table = prepared("ml100k", source, tmp_path, monkeypatch)
    mine = rows[rows[:, 0] == 7]
    mine = mine[np.argsort(mine[:, 1])]
    assert np.array_equal(table.y[table.task == 6], mine[:, 2] - 3.0)
    assert np.array_equal(table.X[table.task == 6][:, :19], genres[mine[:, 1] - 1])
    assert set(np.unique(table.X[:, 19])) == {1995.0}  # an unknown year counts as the median one


@pytest.mark.parametrize("sparse", [True, False])
def test_jokes(tmp_path, monkeypatch, sparse):
    source, full = jokes(tmp_path, np.random.default_rng(3), sparse=sparse)
    table = prepared("jester3", source, tmp_path, monkeypatch)
    mine = full[123][full[123] != 0.0]
    np.testing.assert_allclose(table.y[table.task == 123], mine, atol=1e-12)


def broken(kind, folder):
    rng = np.random.default_rng(4)
    if kind == "schools, 138":
        return "schools", schools(folder, rng, count=138)[0]
    if kind == "schools, 25 features":
        return "schools", schools(folder, rng, width=25)[0]
    if kind == "lenk, a row less":
        return "lenk", lenk(folder, rng, (2879, 720))[0]
    if kind == "lenk, other names":
        scipy.io.savemat(folder / "other.mat", {"X": np.ones(3)})
        return "lenk", folder / "other.mat"
    if kind == "movies, a rating less":
        return "ml100k", movies(folder, rng, ratings=99999)[0]
    if kind == "movies, no films":
        source = movies(folder, rng)[0]
        (source / "u.item").unlink()
        return "ml100k", source
    if kind == "cut short":
        source = lenk(folder, rng)[0]
        source.write_bytes(source.read_bytes()[:-4000])
        return "lenk", source
    return "lenk", folder / "nowhere.mat"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("schools, 138", "it has 138 schools; needed 139"),
        ("schools, 25 features", "features are [25]; needed 26 in each school"),
        ("lenk, a row less", "Traindata has shape (2879, 15); needed (2880, 15)"),
        ("lenk, other names", "it has X; needed Traindata, Testdata"),
        ("movies, a rating less", "u.data has shape (99999, 4); needed (100000, 4)"),
        ("movies, no films", "there is no u.item"),
        ("cut short", "cannot be read as lenk"),
        ("nowhere", "there is no "),
    ],
)
def test_what_is_not_the_file_is_refused_and_nothing_is_written(kind, message, tmp_path, capsys):
    name, source = broken(kind, tmp_path)
    assert main(["prepare", name, str(source), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
