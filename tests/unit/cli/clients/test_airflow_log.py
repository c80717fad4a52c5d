"""What a person reads of an Airflow task log."""

from cli.clients.airflow_log import lines


def event(words: str, level: str = "info", **more: object) -> dict[str, object]:
    return {"event": words, "level": level, **more}


def test_airflow_s_own_words_are_folded_away() -> None:
    content = [
        {"event": "::group::Log message source details"},
        {"event": "/logs/attempt=1.log"},
        {"event": "::endgroup::"},
        event("::group::Pre Execute"),
        event("DAG bundles loaded: dags-folder"),
        event("::endgroup::"),
        event("epoch 1"),
    ]
    assert list(lines(content)) == ["epoch 1"]


def test_a_step_s_own_group_is_kept() -> None:
    content = [event("::group::epochs"), event("epoch 1"), event("::endgroup::"), event("done")]
    assert list(lines(content)) == ["epoch 1", "done"]


def test_an_error_is_never_folded_and_says_what_was_raised() -> None:
    raised = [{"exc_type": "StepFailed", "exc_value": "step train\nno data"}]
    content = [event("::group::Pre Execute"), event("Task failed", "error", error_detail=raised)]
    assert list(lines(content)) == ["ERROR: Task failed", "StepFailed: step train", "no data"]


def test_a_plain_text_is_taken_line_by_line() -> None:
    assert list(lines("one\ntwo\n")) == ["one", "two"]
    assert list(lines(["one", "two"])) == ["one", "two"]
