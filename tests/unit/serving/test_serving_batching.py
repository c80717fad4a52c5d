"""Plain lists as data: what one request gets must not depend on what else is waiting."""

from hypothesis import given
from hypothesis import strategies as st

from serving.worker.batching import Batching, Waiting


def join(parts):
    return [row for part in parts for row in part]


def cut(result, rows):
    if len(result) != sum(rows):
        return None
    ends = [sum(rows[: place + 1]) for place in range(len(rows))]
    return [result[end - count : end] for end, count in zip(ends, rows, strict=True)]


def batching(*, enabled=True, max_rows=8):
    return Batching(enabled=enabled, max_rows=max_rows, join=join, cut=cut)


def waiting(place, data, key="same", params=None):
    return Waiting(place, 1, data, params, len(data), key, bytes)


class Model:
    """Adds one to each row; refuses rows below zero; keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, data, params):
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
        for request, result, error in batches.answer(batches.take(queue), model):
            assert request.id not in answers
            answers[request.id] = result if error is None else str(error)
    return answers, model


@given(requests, st.integers(1, 20))
def test_batched_answers_are_those_of_requests_asked_alone(sent, max_rows):
    together, model = run(sent, max_rows=max_rows)
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
    answers = batching().answer(group, model)
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
    answers = batches.answer(group, Model())
    assert [(result, str(error) if error else None) for _, result, error in answers] == [
        ([2], None),
        (None, "-1 is below zero"),
        ([4], None),
    ]
    assert batches.enabled


def test_a_model_that_cannot_take_batches_is_not_asked_again():
    def one_row_only(data, params):
        if len(data) > 1:
            raise ValueError("one row only")
        return data

    batches = batching()
    answers = batches.answer([waiting(0, [1]), waiting(1, [2])], one_row_only)
    assert [result for _, result, _ in answers] == [[1], [2]]
    assert not batches.enabled
    assert "batching is off for this model" in batches.said[0]


def test_a_model_whose_answer_has_other_rows_is_never_batched():
    batches = batching()
    batches.answer([waiting(0, [1, 2])], lambda data, _: [sum(data)])
    assert not batches.enabled


def test_batching_can_be_switched_off():
    queue = [waiting(0, [1]), waiting(1, [2])]
    assert len(batching(enabled=False).take(queue)) == 1
