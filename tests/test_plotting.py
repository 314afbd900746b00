"""Figures show what the ledgers hold, with labels, and leave everything else as it was."""

import numpy as np
import pytest

import owo
from owo import hindsight, plotting


@pytest.fixture(autouse=True)
def no_open_figures():
    """Those that another test of the same process left open are none of the figures counted here."""
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def tasks():
    rng = np.random.default_rng(0)
    w = 1.0 + 0.3 * rng.normal(size=(30, 3))
    return owo.streams.from_arrays(X := rng.normal(size=(150, 3)), (X * w.repeat(5, 0)).sum(1), np.arange(30).repeat(5))


@pytest.fixture(scope="module")
def ledgers(tasks):
    def run(outer):
        return owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(), outer, "task").run(tasks, path_every=3)

    return {"independent": run(owo.Frozen()), "owo": run(owo.DualAveraging(0.1))}


@pytest.fixture(scope="module")
def comparator(tasks):
    return hindsight.best_bias(owo.Absolute(), tasks, 1.0)


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def drawn(ax) -> dict:
    return {line.get_label(): np.column_stack(line.get_data()) for line in ax.get_lines()}


def test_cumulative_loss_is_the_ledgers(ledgers, axes):
    ax = plotting.cumulative_loss(ledgers, axes, scale=2.0, unit="dollars")
    assert ax is axes
    for name, ledger in ledgers.items():
        assert np.array_equal(drawn(ax)[name][:, 1], 2.0 * ledger.cumulative_loss())
    assert ax.get_xlabel() == "tasks seen" and ax.get_ylabel() == "cumulative loss (dollars)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(ledgers)


def test_cumulative_loss_beyond_a_run_is_the_difference(ledgers, axes):
    ax = plotting.cumulative_loss(ledgers, axes, beyond=ledgers["independent"])
    assert not drawn(ax)["independent"][:, 1].any()
    assert drawn(ax)["owo"][-1, 1] == ledgers["owo"].regret(ledgers["independent"])[-1]


def test_regret_stays_below_its_certificate_in_the_figure(ledgers, comparator, axes):
    ax = plotting.regret(ledgers["owo"], comparator, axes, terms=True)
    lines, points = drawn(ax), np.cumsum(ledgers["owo"].rounds)
    certificate = ledgers["owo"].certificate(comparator).total / points
    assert np.allclose(lines["certificate"][:, 1], certificate, rtol=1e-14, atol=0)  # divided in another order
    assert np.nanmax(lines["regret"][:, 1] - lines["certificate"][:, 1]) <= 0.0
    assert {"within", "across"} <= set(lines)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "tasks seen" and "average a point" in ax.get_ylabel()


def test_a_term_looks_the_same_whichever_others_are_drawn(ledgers, comparator, axes):
    class Few:
        """A run whose certificate has no term above zero but one."""

        def __init__(self, ledger):
            self.rounds, self.regret, self._ledger = ledger.rounds, ledger.regret, ledger

        def __len__(self):
            return len(self._ledger)

        def certificate(self, comparator):
            whole = self._ledger.certificate(comparator)
            return whole._replace(within=-np.abs(whole.within), spread=0.0 * whole.spread)

    def looks(ledger):
        axes.clear()
        plotting.regret(ledger, comparator, axes, terms=True)
        return {line.get_label(): (line.get_color(), line.get_marker()) for line in axes.get_lines()}

    all_terms, few = looks(ledgers["owo"]), looks(Few(ledgers["owo"]))
    assert set(few) == {"certificate", "regret", "across"} < set(all_terms)
    assert all(all_terms[term] == look for term, look in few.items())


def test_a_value_without_neighbours_is_a_marker(axes):
    plotting._line(axes, np.arange(5.0), np.array([np.nan, 1.0, np.nan, 2.0, 3.0]), plotting.STYLES[0], "x", thin=True)
    assert axes.get_lines()[0].get_markevery() == [1]


def covers(axes):
    """Whether a legend of these axes lies on any of them, as drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = axes[0].figure
    FigureCanvasAgg(figure).draw()
    legends = [ax.get_legend().get_window_extent() for ax in axes if ax.get_legend()]
    inside = [ax.get_window_extent() for ax in axes]
    assert legends and all(figure.bbox.x1 >= legend.x1 and figure.bbox.x0 <= legend.x0 for legend in legends)
    return any(legend.overlaps(box) for legend in legends for box in inside)


def test_the_legend_of_regret_covers_no_line(ledgers, comparator):
    from matplotlib.figure import Figure

    ax = Figure(layout="constrained").subplots()
    plotting.regret(ledgers["owo"], comparator, ax, terms=True)
    assert not covers([ax])


def test_one_legend_names_the_lines_of_two_panels(ledgers, comparator):
    from matplotlib.figure import Figure

    axes = Figure(figsize=(10.2, 3.8), layout="constrained").subplots(1, 2, sharey=True)
    plotting.regret(ledgers["owo"], comparator, axes[0], terms=True)
    plotting.regret(ledgers["owo"], comparator, axes[1])
    plotting.legend(axes[1], "center left", beside=True, others=axes[:1])
    assert not covers(axes) and axes[0].get_legend() is None
    assert {text.get_text() for text in axes[1].get_legend().get_texts()} == set(drawn(axes[0]))


def test_a_single_run_needs_no_name(ledgers, axes):
    assert list(drawn(plotting.cumulative_loss(ledgers["owo"], axes))) == ["learner"]


def test_bias_path_starts_at_the_centre_and_ends_at_the_bias(ledgers, axes):
    ledger = ledgers["owo"]
    ax = plotting.bias_path(ledger, ["price", "age", "income"], axes, shown=["age"])
    line = drawn(ax)["age"]
    assert line[0].tolist() == [0.0, 0.0] and line[-1].tolist() == [30.0, ledger.path[-1, 1]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["age", "2 others"]
    assert ax.get_ylabel() == "coordinate of the bias"


def test_the_largest_coordinates_are_named(ledgers, axes):
    ax = plotting.bias_path(ledgers["owo"], None, axes, shown=1)
    largest = int(np.argmax(np.abs(ledgers["owo"].path[-1])))
    assert ax.get_legend().get_texts()[0].get_text() == f"x{largest}"


def test_lines_differ_without_colour():
    assert len({(str(dash), marker) for _, dash, marker in plotting.STYLES}) == len(plotting.STYLES)


def test_long_runs_are_drawn_at_a_limited_number_of_tasks(axes):
    X = np.ones((2000, 1))
    ledger = owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(), owo.Frozen(), "task").run(
        owo.streams.from_arrays(X, X[:, 0], np.arange(2000))
    )
    line = drawn(plotting.cumulative_loss({"long": ledger}, axes))["long"]
    assert len(line) <= plotting.POINTS_DRAWN and line[-1].tolist() == [2000.0, 2000.0]


def test_new_axes_come_from_pyplot_and_nothing_global_changes(ledgers):
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    ax = plotting.cumulative_loss(ledgers)
    assert pyplot.get_fignums() == [ax.figure.number]
    pyplot.close(ax.figure)
    assert dict(matplotlib.rcParams) == before


def test_given_axes_make_no_figure(ledgers, axes):
    from matplotlib import pyplot

    plotting.cumulative_loss(ledgers, axes)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda runs, ax: plotting.cumulative_loss({}, ax), "at least one"),
        (lambda runs, ax: plotting.bias_path(runs["owo"], ["a"], ax), "1 names for a bias of 3"),
        (lambda runs, ax: plotting.bias_path(runs["owo"], list("abc"), ax, shown=["z"]), "no coordinate 'z'"),
        (lambda runs, ax: plotting.bias_path(pathless(), None, ax), "path_every"),
        (lambda runs, ax: plotting.cumulative_loss({"empty": empty()}, ax), "no task has ended"),
    ],
)
def test_what_cannot_be_drawn_says_why(ledgers, axes, draw, said):
    with pytest.raises(ValueError, match=said):
        draw(ledgers, axes)


def pathless():
    return owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(), owo.Frozen(), "task").run([([[1.0]], [1.0])])


def empty():
    return owo.OnlineWithinOnline(owo.Absolute(), owo.GrowingFTRL(), owo.Frozen(), "task", bias=[0.0]).ledger
