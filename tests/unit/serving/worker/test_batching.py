"""Plain lists as data: what one request gets must not depend on what else is waiting."""

from itertools import chain

import pytest
from hypothesis import given, strategies as st

from serving.worker.batching import batching as module
from serving.worker.batching.batching import EVIDENCE, Batching, Waiting


class Lists:
    """Data of a request, and results: a list of rows."""

    def join(self, parts):
        return [row for part in parts for row in part]

    def cut(self, result, rows):
        if len(result) != sum(rows):
            return None
        ends = [sum(rows[: place + 1]) for place in range(len(rows))]
        return [result[end - count : end] for end, count in zip(ends, rows, strict=True)]

    def copy(self, data):
        return list(data)

    def equal(self, one, other):
        return one == other

    def fingerprints(self, data):
        return data


def batching(*, enabled=True, max_rows=8, trusted=True):
    return Batching(enabled=enabled, max_rows=max_rows, data=Lists(), trusted=trusted)


def waiting(place, data, key="same", params=None):
    return Waiting(place, 1, data, params, len(data), key, bytes)


class Model:
    """Adds one to each row; refuses rows below zero; keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, _requests, data, params):
        self.asked.append(list(data))
        if min(data) < 0:
            raise ValueError(f"{min(data)} is below zero")
        return [row + (params or 1) for row in data]


requests = st.lists(
    st.tuples(
        st.lists(st.integers(-2, 20), min_size=1, max_size=5),
        st.sampled_from(["a", "b", None]),
    ),
    min_size=1,
    max_size=12,
)


def run(sent, **settings):
    model, batches = Model(), batching(**settings)
    queue = [waiting(place, data, key) for place, (data, key) in enumerate(sent)]
    answers = {}
    while queue:
        for request, result, error in chain(*batches.answer(batches.take(queue), model)):
            assert request.id not in answers
            answers[request.id] = result if error is None else str(error)
        batches.examine(model)
    return answers, model


@given(requests, st.integers(1, 20), st.booleans())
def test_batched_answers_are_those_of_requests_asked_alone(sent, max_rows, trusted):
    together, model = run(sent, max_rows=max_rows, trusted=trusted)
    alone, _ = run(sent, enabled=False)
    assert together == alone
    assert len(together) == len(sent)
    longest = max(len(data) for data, _ in sent)
    assert all(len(asked) <= max(max_rows, longest) for asked in model.asked)


def test_requests_of_one_key_share_a_call_in_order_of_arrival():
    queue = [waiting(0, [1]), waiting(1, [2], "other"), waiting(2, [3, 4])]
    group = batching().take(queue)
    assert [request.id for request in group] == [0, 2]
    assert [request.id for request in queue] == [1]
    model = Model()
    answers = list(chain(*batching().answer(group, model)))
    assert model.asked == [[1, 3, 4]]
    assert [result for _, result, _ in answers] == [[2], [4, 5]]


def test_rows_are_capped_and_a_larger_request_goes_alone():
    queue = [waiting(0, [1] * 9), waiting(1, [1] * 5), waiting(2, [1] * 3), waiting(3, [1])]
    taken = batching(max_rows=8)
    assert [request.id for request in taken.take(queue)] == [0]
    assert [request.id for request in taken.take(queue)] == [1, 2]


def test_a_request_without_a_key_goes_alone():
    queue = [waiting(0, [1], None), waiting(1, [2], None)]
    assert len(batching().take(queue)) == 1


def test_one_bad_request_fails_alone():
    batches = batching()
    group = [waiting(0, [1]), waiting(1, [-1]), waiting(2, [3])]
    answers = list(chain(*batches.answer(group, Model())))
    assert [(result, str(error) if error else None) for _, result, error in answers] == [
        ([2], None),
        (None, "-1 is below zero"),
        ([4], None),
    ]
    assert batches.enabled


def ask(batches, model, *requests):
    """Ask for these lists of rows, which wait together; their answers, and what comes after."""
    group = [waiting(place, rows) for place, rows in enumerate(requests)]
    answers = list(chain(*batches.answer(group, model)))
    batches.examine(model)
    return [result if error is None else str(error) for _, result, error in answers]


def test_a_model_is_asked_singly_until_it_answered_enough_rows_alike():
    model, batches = Model(), batching(trusted=False, max_rows=100)
    for row in range(0, EVIDENCE, 2):
        assert not batches.trusted
        model.asked.clear()
        assert ask(batches, model, [row], [row + 1]) == [[row + 1], [row + 2]]
        assert model.asked == [[row], [row + 1], [row, row + 1]]
    assert batches.trusted
    assert batches.log_lines == [f"batching is on: {EVIDENCE} rows were answered alike"]
    model.asked.clear()
    assert ask(batches, model, [1], [2]) == [[2], [3]]
    assert model.asked == [[1, 2]]


def test_the_same_row_again_is_no_evidence_and_costs_nothing():
    model, batches = Model(), batching(trusted=False)
    for _ in range(EVIDENCE):
        ask(batches, model, [1], [2])
    assert batches.compared == 2
    assert not batches.trusted
    assert model.asked == [[1], [2], [1, 2]] + [[1], [2]] * (EVIDENCE - 1)


def only_one_row(_requests, data, _params):
    if len(data) > 1:
        raise ValueError("one row only")
    return data


def always_three_rows(_requests, data, _params):
    return [sum(data)] * 3


def share_of_all(_requests, data, _params):
    return [row / sum(data) for row in data]


@pytest.mark.parametrize("model", [only_one_row, always_three_rows, share_of_all])
@pytest.mark.parametrize("requests", [2, 3, 4])
def test_a_model_whose_answers_depend_on_the_batch_never_answers_one(model, requests):
    batches = batching(trusted=False)
    for first in range(1, 40):
        asked = [[first + more] for more in range(requests)]
        assert ask(batches, model, *asked) == [model([], rows, None) for rows in asked]
    assert not batches.enabled
    assert "batching is off for this model" in batches.log_lines[0]
    assert len(batches.log_lines) == 1


def test_a_model_that_changes_what_it_is_given_is_compared_on_what_was_sent():
    def changing(_requests, data, _params):
        data[:] = [row + 1 for row in data]
        return list(data)

    batches = batching(trusted=False)
    for row in range(EVIDENCE):
        ask(batches, changing, [row], [row + 1])
    assert batches.trusted


def rehearsed(model, max_rows):
    batches = batching(trusted=False, max_rows=max_rows)
    batches.logged = [waiting(0, [row]) for row in range(EVIDENCE)]
    while batches.logged:
        batches.rehearse(model)
        batches.examine(model)
    return batches


@pytest.mark.parametrize("max_rows", [EVIDENCE, 8, 5])
def test_logged_rows_are_asked_alone_and_together_where_nobody_else_asks(max_rows):
    model = Model()
    assert rehearsed(model, max_rows).trusted
    assert max(map(len, model.asked)) == max_rows
    assert [asked for asked in model.asked if len(asked) == 1] == [[n] for n in range(EVIDENCE)]
    assert not rehearsed(share_of_all, max_rows).enabled


def test_where_requests_have_shown_it_no_logged_row_is_asked():
    model, batches = Model(), batching(trusted=True)
    batches.logged = [waiting(0, [row]) for row in range(EVIDENCE)]
    batches.rehearse(model)
    batches.examine(model)
    assert (model.asked, batches.logged) == ([], [])


def test_a_trusted_model_is_still_compared_now_and_then(monkeypatch):
    monkeypatch.setattr(module, "CHECK_EVERY", 3)
    batches = batching()
    for _ in range(2):
        ask(batches, share_of_all, [1], [3])
    assert batches.trusted
    ask(batches, share_of_all, [1], [3])
    assert not batches.enabled
    assert "not those that it gives to each request alone" in batches.log_lines[0]


def test_a_trusted_model_that_fails_a_batch_answers_each_request_and_gets_no_other():
    batches = batching()
    assert ask(batches, only_one_row, [1], [2]) == [[1], [2]]
    assert not batches.enabled


def test_a_model_whose_answer_has_other_rows_is_never_batched():
    batches = batching()
    list(batches.answer([waiting(0, [1, 2])], lambda _requests, data, _params: [sum(data)]))
    assert not batches.enabled


def test_batching_can_be_switched_off():
    queue = [waiting(0, [1]), waiting(1, [2])]
    assert len(batching(enabled=False).take(queue)) == 1


def test_a_batch_that_took_too_much_memory_ends_no_trust():
    asked = []

    def call(group, data, params):
        asked.append(len(data))
        if len(data) > 3:
            raise MemoryError
        return [f"answer {row}" for row in data]

    tried = batching()
    group = [waiting(place, [place]) for place in range(6)]
    answers = list(chain.from_iterable(tried.answer(group, call)))
    assert [answer for _, answer, _ in answers] == [[f"answer {n}"] for n in range(6)]
    tried.examine(call)
    assert tried.trusted
    assert tried.max_rows == 3
    assert "took too much memory" in tried.log_lines[0]
    assert asked == [6, 1, 1, 1, 1, 1, 1]
    assert len(tried.take(list(group))) == 3
    assert next(iter(tried.answer(group[:3], call)))
    assert asked[-1] == 3


def test_what_there_was_no_memory_to_compare_ends_no_trust():
    def call(group, data, params):
        if len(data) > 1:
            raise MemoryError
        return list(data)

    tried = batching(trusted=False)
    list(tried.answer([waiting(place, [place]) for place in range(4)], call))
    tried.examine(call)
    assert tried.enabled
    assert not tried.compared
