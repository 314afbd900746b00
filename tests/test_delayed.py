"""Labels that come late: the loss of the prediction that was made, and a certificate that counts the delay exactly."""

import numpy as np
import pytest

import owo
from tests.states import LAWS, learner, mixed, same

PAIRS = {
    "coin betting": {},
    "fixed steps": LAWS,
    "by task": {**LAWS, "update": "task"},
    "implicit": {"inner": owo.Implicit(0.1), "outer": owo.DualAveraging(0.05)},
    "diagonal": {**LAWS, "geometry": owo.geometry.Diagonal()},
}


def delayed(parts, lag, loss=None, seed=0, n=400):
    """A run in which every label comes up to ``lag`` points later, in any order; what each task lost."""
    rng, block = np.random.default_rng(seed), mixed(n=n, tasks=8)
    late = owo.OnlineWithinOnline(loss or owo.Absolute(), **parts)
    open_tickets, lost = [], {}

    def tell():
        ticket, y, key, p = open_tickets.pop(int(rng.integers(len(open_tickets))))
        value = late.tell(ticket, y)
        assert value == late.loss.value(p, y)
        lost[key] = lost.get(key, 0.0) + value

    for x, y, code in zip(block.X, block.y, block.task, strict=True):
        key = block.keys[code]
        asked = late.ask(x, key)
        open_tickets.append((asked.ticket, float(y), key, asked.prediction))
        while len(open_tickets) > lag:
            tell()
    while open_tickets:
        tell()
    for key in block.keys:
        late.end_task(key)
    return late, block, lost


@pytest.mark.parametrize("lag", [0, 3, 100])
@pytest.mark.parametrize("parts", PAIRS.values(), ids=PAIRS)
def test_regret_keeps_to_a_certificate_that_counts_the_delay(parts, lag):
    for loss in (owo.Absolute(), owo.Squared()) if "inner" not in parts else (owo.Absolute(),):
        late, block, lost = delayed(parts, lag, loss)
        np.testing.assert_allclose(late.ledger.losses, [lost[key] for key in late.ledger.keys], rtol=1e-9)
        for comparator in (
            owo.hindsight.best_bias(loss, block, strength=1.0),
            owo.hindsight.Comparator("none", np.zeros(4), np.zeros((1, 4)), _lost_at_zero(loss, late, block)),
        ):
            late.ledger.check(comparator)


def _lost_at_zero(loss, late, block):
    of = {key: 0.0 for key in block.keys}
    for y, code in zip(block.y, block.task, strict=True):
        of[block.keys[code]] += loss.value(0.0, y)
    return np.array([of[key] for key in late.ledger.keys])


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "implicit"])  # which asks the loss, if it can
def test_without_delay_all_is_as_when_labels_come_at_once(name):
    late, block, _ = delayed(PAIRS[name], 0)
    prompt = owo.OnlineWithinOnline(owo.Absolute(), **PAIRS[name])
    for x, y, code in zip(block.X, block.y, block.task, strict=True):
        prompt.learn_one(x, float(y), block.keys[code])
    for key in block.keys:
        prompt.end_task(key)
    apart = np.abs(late.ledger.overlap - prompt.ledger.overlap).max()
    assert apart < 1e-11 * (1.0 + np.abs(prompt.ledger.overlap).max())
    np.testing.assert_allclose(late.ledger.losses, prompt.ledger.losses, rtol=1e-9)
    np.testing.assert_array_equal(late.bias, prompt.bias)


def test_the_delay_makes_a_difference_that_the_certificate_needs():
    """Without the term the bound would be broken: the check can fail."""
    for law in (owo.GrowingFTRL(1.0), owo.DualAveraging(0.1), owo.CoinBetting()):
        late = owo.OnlineWithinOnline(owo.Absolute(), law, owo.Frozen())
        for ticket in [late.ask([1.0], "a").ticket for _ in range(200)]:
            late.tell(ticket, 1.0)
        late.end_task("a")
        one = owo.hindsight.Comparator("one", np.zeros(1), np.ones((1, 1)), np.zeros(1))
        certificate, regret = late.ledger.certificate(one), late.ledger.regret(one)
        assert regret[0] == 200.0 <= certificate.total[0] < 2100.0
        assert certificate.total[0] - certificate.overlap[0] < 150.0
        late.ledger.check(one)


def test_points_that_wait_keep_their_task_open_and_are_saved(tmp_path):
    block, path = mixed(n=60, tasks=3), tmp_path / "waiting.owo"
    one = learner("default")
    one.run(block.rows(0, 20))
    tickets = [one.ask(x, key).ticket for x, key in zip(block.X[:6], ["task 0", "task 1", "new"] * 2, strict=True)]
    assert one.waiting == dict(zip(tickets, ["task 0", "task 1", "new"] * 2, strict=True))
    one.tell(tickets[1], 3.0)
    for end in (lambda: one.end_task("task 1"), lambda: one.run(block.rows(20, 60))):
        before = one.bias
        with pytest.raises(
            ValueError, match=r"task 'task .' cannot end: . of its points wait for labels \(first: ticket"
        ):
            end()
        np.testing.assert_array_equal(before, one.bias)
    one.save(path)
    other = owo.OnlineWithinOnline.load(path)
    for each in (one, other):
        each.tell(tickets[4], 1.5)
        each.drop(tickets[0])
        each.drop(tickets[3])
        assert each.tell(tickets[2], 2.0) >= 0.0 and "new" in each.open_tasks
        each.tell(tickets[5], 2.0)
        assert not each.waiting
        each.end_task("new")
        each.run(block.rows(20, 60))
    same(one, other)


def test_a_wrong_ticket_or_label_changes_nothing():
    one = owo.OnlineWithinOnline(owo.Hinge())
    with pytest.raises(KeyError, match="ticket 1 was never given; 0 points wait"):
        one.tell(1, 1.0)
    asked = one.ask([1.0, 2.0], "a")
    assert asked.prediction == 0.0 and one.d == 2
    for label, words in ((3.0, "Hinge does not take the label 3.0"), (np.nan, "NaN"), ("x", "y")):
        with pytest.raises((ValueError, TypeError), match=words):
            one.tell(asked.ticket, label)
    assert one.waiting == {asked.ticket: "a"} and not one.open_tasks
    assert one.tell(asked.ticket, 1.0) == 1.0
    with pytest.raises(KeyError, match="ticket 1 has been told, dropped or forgotten; 0 points wait"):
        one.tell(asked.ticket, 1.0)
    with pytest.raises(ValueError, match="x has shape"):
        one.ask([1.0], "a")
    with pytest.raises(ValueError, match="task is None"):
        one.ask([1.0, 2.0], None)
    with pytest.raises(TypeError, match="labels can be late for one prediction only"):
        owo.OnlineWithinOnline(owo.Softmax(3)).ask([1.0], "a")
    one.ask([1e200, 0.0], "b")
    with pytest.raises(FloatingPointError, match="overflowed"):
        one.tell(2, 1.0)
    assert one.waiting == {2: "b"} and one.open_tasks == ["a"]


def test_to_forget_a_task_forgets_its_points_and_widening_pads_them():
    one = learner("default")
    one.ask(np.ones(4), "a")
    kept = one.ask(np.ones(4), "b")
    one.learn_one(np.ones(4), 1.0, "a")
    one.forget("a")
    assert one.waiting == {kept.ticket: "b"}
    one.widen(6)
    one.tell(kept.ticket, 2.0)
    assert one.weights("b").shape == (6,) and one.open_tasks == ["b"]
