"""Bodies that are wrong in very many places are refused for few of them."""

import json

import pytest
from pydantic import ValidationError

from service.api.schemas import BatchRequest, RetrieveRequest, ScoreRequest
from service.api.weights_schemas import PreviewRequest, ScheduleWeights, SetWeights, SplitTraffic

MANY = 5000
NAMES = {f"name{number}": "x" for number in range(MANY)}


def condition(**said):
    return {"user": {}, "filter": [{"attribute": "brand", **said}]}


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (RetrieveRequest, {"user": {}, "exclude": [1] * MANY}),
        (RetrieveRequest, {"user": {}, "filter": [1] * MANY}),
        (RetrieveRequest, {"user": {}, "filter": [{}] * MANY}),
        (RetrieveRequest, condition(**{"in": [None] * MANY})),
        (RetrieveRequest, condition(not_in=[[]] * MANY)),
        (RetrieveRequest, condition(**NAMES)),
        (RetrieveRequest, {"user": {}, "weights": NAMES}),
        (RetrieveRequest, {"user": {}, **NAMES}),
        (BatchRequest, {"users": [1] * MANY}),
        (BatchRequest, NAMES),
        (ScoreRequest, {"user": {}, "item_ids": [1] * MANY}),
        (ScoreRequest, NAMES),
        (PreviewRequest, {"weights": {}, "users": [1] * MANY}),
        (PreviewRequest, NAMES),
        (SetWeights, {"weights": NAMES}),
        (SetWeights, NAMES),
        (SplitTraffic, NAMES),
        (ScheduleWeights, NAMES),
    ],
)
def test_a_body_that_is_wrong_everywhere_has_few_errors(model, body):
    for validate, given in (
        (model.model_validate, body),
        (model.model_validate_json, json.dumps(body)),
    ):
        with pytest.raises(ValidationError) as refusal:
            validate(given)
        assert refusal.value.error_count() <= 10


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/retrieve", {"user": {}}),
        ("/retrieve/batch", {"users": [{}]}),
        ("/score", {"user": {}, "item_ids": []}),
    ],
)
def test_of_many_unknown_fields_the_first_is_named(reader, path, body):
    error = reader.post(path, json={**body, **NAMES}).json()["error"]
    assert (error["code"], error["field"], error["value"]) == ("unknown_field", "name0", "x")


def test_of_many_unknown_fields_of_a_condition_the_first_is_named(reader):
    error = reader.post("/retrieve", json=condition(equals="a", **NAMES)).json()["error"]
    assert (error["code"], error["field"]) == ("unknown_field", "filter.0.name0")
