"""What a caller of `exclude_seen` may rely on."""

import pytest

IN_STOCK = [{"attribute": "in_stock", "equals": True}]
USER = {"user_id": "u00003"}


def test_what_a_user_has_seen_is_not_in_their_list_and_makes_room_for_the_next(client, keep, ask):
    first = ask(client, user=USER, k=30)["item_ids"]
    keep("u00003", seen=[first[0], first[3], first[4]])
    found = ask(client, user=USER, exclude_seen=True)
    assert found["item_ids"] == [first[1], first[2], *first[5:13]]
    assert found["seen_excluded"] == 3
    unasked = ask(client, user=USER)
    assert unasked["item_ids"] == first[:10]
    assert "seen_excluded" not in unasked


def test_seen_items_exclusions_and_filters_hold_together(client, keep, ask):
    asked = {"user": USER, "filter": IN_STOCK}
    first = ask(client, k=30, **asked)["item_ids"]
    keep("u00003", seen=[first[1], "gone", "\udcff".encode("utf-8", "surrogatepass")])
    found = ask(client, exclude=[first[0], first[1]], exclude_seen=True, explain=True, **asked)
    assert found["item_ids"] == first[2:12]
    assert found["seen_excluded"] == 3
    assert found["explanation"]["search"]["excluded"] == 2


def test_only_the_newest_are_excluded_as_many_as_the_setting_says(
    open_client, empty_redis, keep, ask
):
    first = ask(open_client(), user=USER)["item_ids"]
    keep("u00003", seen=first[:5])
    url = empty_redis.url
    for most, excluded in ((2, first[3:5]), (5, first[:5]), (0, [])):
        client = open_client(features_url=url, features_timeout_ms=10_000, max_seen=most)
        found = ask(client, user=USER, exclude_seen=True)
        assert found["seen_excluded"] == most
        assert not set(found["item_ids"]) & set(excluded)
        assert set(first) - set(excluded) <= set(found["item_ids"])


def test_a_user_who_has_seen_everything_gets_an_empty_list(open_client, empty_redis, keep, ask):
    keep("u00003", seen=[f"i{number:07d}" for number in range(300)])
    client = open_client(features_url=empty_redis.url, features_timeout_ms=10_000, max_seen=300)
    found = ask(client, user=USER, exclude_seen=True)
    assert (found["item_ids"], found["scores"], found["seen_excluded"]) == ([], [], 300)


@pytest.mark.parametrize("user", [{}, {"user_id": ""}, {"hour": 3}])
def test_nobody_has_seen_nothing(client, ask, user):
    assert ask(client, user=user, exclude_seen=True)["seen_excluded"] == 0


def test_seen_items_are_left_out_also_where_the_request_brings_all_features(client, keep, ask):
    everything = {"user_id": "u00003", "hour": 3, "age": 30, "recent_items": []}
    first = ask(client, user=everything)["item_ids"]
    keep("u00003", seen=first[:1], age=99)
    found = ask(client, user=everything, exclude_seen=True)
    assert (found["features"], found["seen_excluded"]) == ("inline", 1)
    assert found["item_ids"][:9] == first[1:]
