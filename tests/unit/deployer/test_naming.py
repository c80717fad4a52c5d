import re
import string

import pytest
from hypothesis import example, given, strategies as st

from deployer.errors import SettingsInvalid
from deployer.naming import (
    MAX_OBJECT_NAME,
    deployment_id,
    predictor_name,
    url_segment,
    validate_environment_name,
)

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
SEGMENT = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")

# What a name becomes is kept in URLs, dashboards and people's heads: a change here breaks them.
GOLDEN = {
    "angler": ("angler-prod", "angler"),
    "iris-forest": ("iris-forest-prod", "iris-forest"),
    "fraud_model": ("fraud-model-prod-9c5ee56588c4", "fraud_model"),
    "resnet50.v2": ("resnet50-v2-prod-0f9c4d954376", "resnet50.v2"),
    "Angler": ("angler-prod-c51d8c310b61", "angler-2740099841cb"),
    "ANGLER": ("angler-prod-ce323f258634", "angler-96eddcaa7254"),
}

HOSTILE = [
    "Angler",
    "ANGLER",
    "angler ",
    " angler",
    "angler\n",
    "a b",
    "a  b",
    "a-b",
    "a--b",
    "-a-b",
    "a-b-",
    "a_b",
    "a.b",
    "a.b.",
    ".",
    "..",
    "../../etc/passwd",
    "..\\..\\windows",
    "~",
    "%2e%2e%2f",
    "a%20b",
    "a+b",
    "a?b#c",
    "a&b;c",
    "`) || PathPrefix(`/",
    "a`b",
    "${HOME}",
    "$(reboot)",
    "%(here)s",
    "{{ 7*7 }}",
    "a'b",
    'a"b',
    "a\\b",
    "a\tb",
    "a\r\n[program:x]",
    "a\x00b",
    "a@file",
    "[section]",
    "--help",
    "-rf",
    "日本語",
    "日本",
    "größe",
    "grosse",
    "gro\u0308ße",
    "\N{KELVIN SIGN}",
    "k",
    "K",
    "\N{LATIN SMALL LETTER DOTLESS I}",
    "i",
    "İ",
    "😀",
    "\ud83d\ude00",
    "\u202egnp.exe",
    "a\u200bb",
    "3d-net",
    "0",
    "m-0",
    "x" * 255,
    "x" * 256,
    "x" * 255 + "y",
    "con",
    "nul",
    "localhost",
    "angler-4725fcd355b5",
    "angler-prod-v3",
    "null",
    "true",
    "v2",
]


@pytest.mark.parametrize("model", GOLDEN)
def test_a_published_name_never_changes(model: str) -> None:
    assert (deployment_id(model, "prod"), url_segment(model)) == GOLDEN[model]


@pytest.mark.parametrize("model", HOSTILE)
def test_a_hostile_name_becomes_a_safe_one(model: str) -> None:
    name = deployment_id(model, "prod")
    predictor = predictor_name(model, "prod", "3", "1a2b3c4d5e6f")
    for made in (name, predictor):
        assert LABEL.fullmatch(made)
        assert len(made) <= MAX_OBJECT_NAME
    assert SEGMENT.fullmatch(url_segment(model))
    assert len(url_segment(model)) <= 80


def test_hostile_names_stay_distinct() -> None:
    names = [deployment_id(model, env) for model in HOSTILE for env in ("prod", "a", "a-b", "b")]
    names += [predictor_name(model, "prod", "3", "1a2b3c4d5e6f") for model in HOSTILE]
    assert len(set(names)) == len(names)
    assert len({url_segment(model) for model in HOSTILE}) == len(HOSTILE)


def test_where_the_environment_begins_is_never_in_doubt() -> None:
    names = [
        deployment_id("a-b", "c"),
        deployment_id("a", "b-c"),
        deployment_id("a-", "b-c"),
        deployment_id("a", "b--c"),
        deployment_id("a--b", "c"),
    ]
    assert names[:2] == ["a-b-c", "a--b-c"]
    assert len(set(names)) == len(names)


def test_a_plain_name_that_looks_hashed_is_hashed_again() -> None:
    hashed = deployment_id("Angler", "prod")
    forged = hashed.rsplit("-", 1)
    assert deployment_id(*forged) != hashed
    assert url_segment(url_segment("Angler")) != url_segment("Angler")


def test_a_predictor_is_never_called_like_a_deployment() -> None:
    predictor = predictor_name("angler", "prod", "3", "1a2b3c4d5e6f")
    assert predictor == "angler-prod-v3-1a2b3c4d"
    assert deployment_id("angler-prod-v3", "1a2b3c4d") != predictor


def test_a_digest_that_is_not_hex_still_tells_predictors_apart() -> None:
    one = predictor_name("angler", "prod", "3", "sha256:aaaaaaaa")
    other = predictor_name("angler", "prod", "3", "sha256:bbbbbbbb")
    assert one != other
    assert LABEL.fullmatch(one)


@pytest.mark.parametrize("name", ["a", "prod", "team-a", "9", "a--b", "x" * 30])
def test_an_environment_name_is_accepted(name: str) -> None:
    assert validate_environment_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-", "Prod", "prod-", "-prod", "a_b", "a.b", "x" * 31, "é", "a\n"]
)
def test_a_bad_environment_name_is_refused_with_a_good_one(name: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        validate_environment_name(name)
    suggested = caught.value.hint.split("'")[1]
    assert validate_environment_name(suggested)


environments = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True)
environments |= st.text("ab-", min_size=1, max_size=4).filter(
    lambda text: not text.startswith("-") and not text.endswith("-")
)
wild = st.text(max_size=256)
near = st.text("aAb-_ 0é", max_size=6)
plain = st.text(string.ascii_lowercase + string.digits + "-", max_size=60)
models = wild | near | plain
# Names that were made by us, given back as a model's name, in whole and in parts.
forged = st.builds(deployment_id, models, environments) | st.builds(url_segment, models)
forged |= st.builds(predictor_name, models, environments, st.just("1"), st.just("0123456789ab"))
forged |= forged.map(lambda name: name.rpartition("-")[0])
pairs = st.tuples(
    models | forged, environments | st.from_regex(r"[0-9a-f]{8}|[0-9a-f]{12}", fullmatch=True)
)


@given(pairs)
def test_every_name_is_safe(pair: tuple[str, str]) -> None:
    assert LABEL.fullmatch(deployment_id(*pair))
    assert len(deployment_id(*pair)) <= MAX_OBJECT_NAME
    predictor = predictor_name(*pair, "1234567890", "0123456789abcdef")
    assert LABEL.fullmatch(predictor)
    assert len(predictor) <= MAX_OBJECT_NAME
    assert predictor.endswith("-v1234567890-01234567")
    assert SEGMENT.fullmatch(url_segment(pair[0]))


@given(pairs, pairs)
@example(("a-b", "c"), ("a", "b-c"))
@example(("a", "b--c"), ("a--b", "c"))
@example(("\ud83d\ude00", "a"), ("\N{GRINNING FACE}", "a"))
def test_distinct_pairs_get_distinct_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (deployment_id(*one) == deployment_id(*other)) == (one == other)
    assert (url_segment(one[0]) == url_segment(other[0])) == (one[0] == other[0])
    digest = "0123456789ab"
    assert (predictor_name(*one, "1", digest) == predictor_name(*other, "1", digest)) == (
        one == other
    )
    assert predictor_name(*one, "1", digest) != predictor_name(*other, "2", digest)
    assert predictor_name(*one, "1", digest) != deployment_id(*other)


@given(pairs)
def test_a_name_made_by_us_is_not_taken_by_a_model_called_so(pair: tuple[str, str]) -> None:
    name = deployment_id(*pair)
    for cut in (index for index, letter in enumerate(name) if letter == "-"):
        rest = name[cut:].lstrip("-")
        impostor = (name[:cut], rest)
        if impostor != pair and len(rest) <= 30:
            assert deployment_id(*impostor) != name
