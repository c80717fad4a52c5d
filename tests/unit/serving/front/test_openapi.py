import json

import pytest
from jsonschema import Draft202012Validator

from serving.front import openapi, routes
from serving.worker.oip.signature import signature

DOUBLE = {"type": "double", "required": True}
COLUMNS = signature(
    {
        "inputs": [
            {**DOUBLE, "name": "length"},
            {"type": "long", "name": "count", "required": False},
            {"type": "array", "name": "many"},
        ],
        "params": [{"name": "depth", "type": "long"}],
    }
)
TENSOR = signature(
    {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 2]}}]}
)
NOTHING = signature({})
WIDE = signature({"inputs": [{**DOUBLE, "name": f"column {n}"} for n in range(5_000)]})
ALL = pytest.mark.parametrize("known", [COLUMNS, TENSOR, NOTHING, WIDE])


def takes(document, path, body):
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    return Draft202012Validator(whole).is_valid(body)


def schemas(content):
    if isinstance(content, dict):
        yield from [content["schema"]] if "schema" in content else []
        for each in content.values():
            yield from schemas(each)


@ALL
def test_each_path_is_there_and_each_schema_is_one(known):
    document = openapi.document("a/b", "3 x", known)
    assert list(document["paths"]) == list(routes.paths("a/b", "3 x"))
    for path, operations in document["paths"].items():
        name = routes.find(path.encode(), "a/b", "3 x")
        assert list(operations) == ["post" if name in ("infer", "invocations") else "get"]
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if "$ref" in answer:
                    assert answer["$ref"] == f"#/components/responses/{status}"
                    assert status in document["components"]["responses"]
    found = list(schemas(document))
    assert len(found) > 20
    for schema in found:
        Draft202012Validator.check_schema(schema)


@ALL
def test_its_size_is_bounded(known):
    assert len(json.dumps(openapi.document("m", "3", known))) < 100_000


def test_names_of_operations_differ():
    paths = openapi.document("m", "3", COLUMNS)["paths"].values()
    names = [each["operationId"] for operations in paths for each in operations.values()]
    assert len(set(names)) == len(names)


def tensor(name, datatype, data):
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"inputs": [tensor("length", "FP64", [1.5])]}, True),
        ({"inputs": [tensor("x", "FP64", [1.5])]}, True),
        ({"inputs": [tensor("length", "FP65", [1.5])]}, False),
        ({"inputs": []}, False),
        ({"inputs": [{"name": "length"}]}, False),
        ({"id": 1, "inputs": [tensor("length", "FP64", [1.5])]}, False),
    ],
)
def test_what_infer_takes(body, fits):
    assert takes(openapi.document("m", "3", COLUMNS), "/v2/models/m/infer", body) is fits


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"dataframe_records": [{"length": 1.5, "many": [1]}]}, True),
        ({"dataframe_records": [{"length": 1.5, "count": 2}]}, False),
        ({"dataframe_records": [{"length": None, "count": 2, "many": 1}]}, True),
        ({"dataframe_records": [{"length": "x", "many": 1}]}, False),
        ({"dataframe_split": {"columns": ["length", "many"], "data": [[1, 2]]}}, True),
        ({"dataframe_split": {"columns": ["width"], "data": [[1]]}}, False),
        ({"inputs": [[1, 2]]}, True),
        ([1], False),
    ],
)
def test_what_invocations_takes(body, fits):
    assert takes(openapi.document("m", "3", COLUMNS), "/invocations", body) is fits
