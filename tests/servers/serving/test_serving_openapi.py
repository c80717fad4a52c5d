"""The server's OpenAPI document, and the server held to it by schemathesis."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.attacks.asking import is_the_models_own
from support.attacks.wire import lives_of

PROMISES = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_the_server_answers_what_its_document_says_and_nothing_else(words):
    before = lives_of(words)
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{words.port}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert "/v2/models/words/infer" in {operation.path for operation in operations}
    for operation in operations:
        keeps_its_promises(operation, 20 if operation.method == "post" else 1)
    assert lives_of(words) == before


def keeps_its_promises(operation, examples: int) -> None:
    """Ask one operation what its schema allows; what is answered is in the document."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case):
        said = case.call_and_validate(checks=PROMISES)
        assert said.status_code < 500 or is_the_models_own(said.json())

    ask()
