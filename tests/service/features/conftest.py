"""Users in a real Redis, and a service that reads them there."""

import json

import pytest

PATIENT_MS = 10_000  # where nothing is about time


@pytest.fixture
def keep(empty_redis):
    """A function that writes a user as a shop does."""

    def write(user_id, seen=(), **features):
        client = empty_redis.client()
        if features:
            values = {name: json.dumps(value) for name, value in features.items()}
            client.hset(f"csmf:user:{user_id}", mapping=values)
        if seen:
            scores = {item_id: 1000 + place for place, item_id in enumerate(seen)}
            client.zadd(f"csmf:seen:{user_id}", scores)

    return write


@pytest.fixture
def client(open_client, empty_redis):
    return open_client(features_url=empty_redis.url, features_timeout_ms=PATIENT_MS)


@pytest.fixture
def ask():
    """A function that posts a body and returns the answer without what differs each time."""

    def post(client, path="/retrieve", **body):
        content = json.dumps({"k": 10, **body} if path != "/score" else body)
        response = client.post(path, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 200, response.text
        answer = response.json()
        answer.pop("timings_ms")
        return answer

    return post
