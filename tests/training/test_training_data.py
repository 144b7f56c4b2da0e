"""What training sees of a log, and that a batch depends on nothing but its place in the run."""

import numpy as np
import polars as pl
import pytest
import torch

from training.batches import BatchPlan, Draw
from training.config import SamplingConfig, StageConfig
from training.data import build_training_data, log_fingerprint
from training.encoding import fit_schema
from training.logs.errors import LogError
from training.logs.reader import read_log
from training.release import split

PLAIN = SamplingConfig(unknown_rate=0.0)


def plan_of(data, stage=0, sampling=PLAIN, share=1.0, **settings):
    return BatchPlan(
        data, data.positives[stage], StageConfig(**settings), sampling, Draw(7, 2), share
    )


def same(first, second):
    return all(
        torch.equal(first[key], second[key]) if isinstance(first[key], torch.Tensor) else True
        for key in first
    )


def test_vocabularies_know_the_past_only(log):
    parts = split(read_log(log), 0.5)
    schema = fit_schema(parts.train, min_count=1)
    exposed = parts.train.events.filter("exposed")["item_id"].unique().sort().to_list()
    assert schema.vocabularies["item_id"] == exposed
    assert len(exposed) <= len(parts.log.items)


def test_rare_categories_share_the_row_of_the_unknown(log):
    train = read_log(log)
    schema = fit_schema(train, min_count=4)
    counts = train.requests["user_id"].value_counts()
    expected = counts.filter(pl.col("count") >= 4)["user_id"].sort().to_list()
    assert schema.vocabularies["user_id"] == expected


def test_positives_come_in_the_order_of_time(log):
    train = read_log(log)
    data = build_training_data(train, min_count=1)
    times = train.requests["ts"].to_numpy()
    for stage in data.positives:
        assert (np.diff(times[stage.request_P]) >= 0).all()
    assert [len(stage) for stage in data.positives] == [
        train.events[column].sum() for column in train.spec.stage_columns
    ]


def test_a_batch_is_the_same_whenever_it_is_asked_for(data):
    settings = {"batch_size": 50, "epochs": 2, "mixed_negatives": 8, "request_negatives": 2}
    first = plan_of(data, sampling=SamplingConfig(), **settings)
    later = plan_of(data, sampling=SamplingConfig(), **settings)
    assert all(same(vars(first[step]), vars(first[step])) for step in range(len(first)))
    for step in reversed(range(len(first))):
        assert same(first[step].users | first[step].items, later[step].users | later[step].items)


def test_an_epoch_visits_every_positive_once_and_each_epoch_in_another_order(data):
    plan = plan_of(data, batch_size=50, epochs=2)
    seen = [plan[step].items["item_id"] for step in range(len(plan))]
    half = len(plan) // 2
    first, second = torch.cat(seen[:half]), torch.cat(seen[half:])
    assert len(first) == len(data.positives[0])
    assert torch.equal(first.sort().values, second.sort().values)
    assert not torch.equal(first, second)


def test_recovery_takes_the_most_recent_share(data):
    plan = plan_of(data, share=0.25, batch_size=10_000)
    recent = data.positives[0].item_P[-round(len(data.positives[0]) * 0.25) :].copy()
    expected = data.items["item_id"][torch.from_numpy(recent)]
    assert torch.equal(expected.sort().values, plan[0].items["item_id"].sort().values)


def test_a_positive_is_never_its_own_negative_nor_that_of_its_request(data):
    plan = plan_of(data, batch_size=64, mixed_negatives=16)
    batch = plan[0]
    items_X = batch.items["item_id"]
    same_item_BX = items_X == items_X[: batch.size, None]
    assert batch.masked_BX[same_item_BX].all()
    unmasked = plan_of(
        data,
        batch_size=64,
        mixed_negatives=16,
        sampling=SamplingConfig(unknown_rate=0.0, mask_known=False),
    )
    assert unmasked[0].masked_BX.sum() == batch.size


def test_request_negatives_are_unexposed_candidates_of_the_same_request(data, log):
    events = read_log(log).events
    unexposed = set(events.filter(~pl.col("exposed")).select("request_id", "item_id").iter_rows())
    items = read_log(log).items["item_id"].to_list()
    requests = read_log(log).requests["request_id"].to_list()
    source = data.positives[0].below
    for request, (start, count) in enumerate(zip(source.start_R, source.count_R, strict=True)):
        for item in source.item_C[start : start + count]:
            assert (requests[request], items[item]) in unexposed
    assert len(source.item_C) == len(unexposed)


def test_a_request_without_unexposed_candidates_gets_masked_places(data):
    plan = plan_of(data, batch_size=10_000, request_negatives=3)
    batch = plan[0]
    own_BH = batch.masked_BX[:, batch.size + batch.mixed :]
    order = data.positives[0].request_P[plan._epoch_order(0)]
    bare_B = torch.from_numpy(data.positives[0].below.count_R[order] == 0)
    assert torch.equal(bare_B[:, None].expand(-1, 3), own_BH)


def test_hidden_categories_teach_the_row_of_the_unknown(data):
    plan = plan_of(data, batch_size=10_000, sampling=SamplingConfig(unknown_rate=0.3))
    hidden = (plan[0].items["item_id"] == 0).float().mean()
    assert float(hidden) == pytest.approx(0.3, abs=0.08)
    assert (plan[0].users["recent_items"] == 0).any()


def test_the_fingerprint_of_a_log_changes_with_any_of_its_bytes(make_log):
    directory = make_log(3)
    before = log_fingerprint(directory)
    spec = directory / "log.yaml"
    spec.write_text(spec.read_text() + "notes: another\n")
    assert log_fingerprint(directory) != before


def test_a_feature_may_not_have_the_name_of_the_towers_output(make_log):
    directory = make_log(2)
    spec = directory / "log.yaml"
    spec.write_text(spec.read_text().replace("name: brand", "name: embedding"))
    items = pl.read_parquet(directory / "items.parquet").rename({"brand": "embedding"})
    items.write_parquet(directory / "items.parquet")
    with pytest.raises(LogError, match="name of the towers' output"):
        build_training_data(read_log(directory), min_count=1)
