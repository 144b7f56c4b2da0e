"""What a simulated log promises: its funnel, its conflict, its memory, its honesty about time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from training.datasets.behaviour import calibrate
from training.datasets.ground_truth import STAGES, draw_world
from training.datasets.simulator import PRESETS, SimulatorSettings, simulate
from training.logs.describe import describe
from training.logs.reader import Log, read_log

SMALL = PRESETS["demo"].model_copy(update={"users": 300, "items": 800, "requests": 4000})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    out = tmp_path_factory.mktemp("simulated") / "log"
    simulate(SMALL, out)
    return read_log(out)


def test_a_simulated_log_has_nothing_irregular(log):
    assert log.report.findings == ()


@pytest.mark.parametrize(
    ("preset", "sizes", "tolerance"),
    [
        ("demo", {"users": 300, "items": 800, "requests": 4000}, 0.1),
        ("demo", {"users": 3000, "items": 300, "requests": 4000, "seed": 7}, 0.1),
        ("funnel", {"requests": 24_000}, 0.25),  # about 65 conversions: counting noise of 12%
    ],
)
def test_the_funnel_has_the_rates_asked_for(tmp_path, preset, sizes, tolerance):
    settings = PRESETS[preset].model_copy(update=sizes)
    simulate(settings, tmp_path / "log")
    found = describe(tmp_path / "log")
    _, click, conversion = found.stages

    assert found.first_stage_per_request == pytest.approx(settings.exposures, rel=0.05)
    assert click.previous_per_event == pytest.approx(settings.exposures_per_click, rel=tolerance)
    assert conversion.previous_per_event == pytest.approx(
        settings.clicks_per_conversion, rel=2 * tolerance
    )


def test_the_funnel_preset_is_the_funnel_of_the_paper():
    funnel = PRESETS["funnel"]
    assert (funnel.exposures, funnel.exposures_per_click, funnel.clicks_per_conversion) == (
        19,
        110,
        63,
    )


def test_the_conflict_preset_differs_from_dense_in_nothing_but_its_conflict():
    changed = {"name": "simulated-dense", "conflict": PRESETS["dense"].conflict}
    assert PRESETS["conflict"].model_copy(update=changed) == PRESETS["dense"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_log(tmp_path):
    few = SMALL.model_copy(update={"requests": 1500})
    for name, settings in {
        "a": few,
        "b": few,
        "c": few.model_copy(update={"seed": 2}),
    }.items():
        simulate(settings, tmp_path / name)

    def events(name: str) -> bytes:
        return (tmp_path / name / "events.parquet").read_bytes()

    assert events("a") == events("b")
    assert events("a") != events("c")


def test_requests_come_in_time_order_within_the_span(log):
    ts = log.requests["ts"]
    assert ts.is_sorted()
    assert ts[0] >= SMALL.start_ms
    assert ts[-1] < SMALL.start_ms + SMALL.days * 86_400_000


def test_hour_and_weekday_agree_with_the_time(log):
    time = pl.from_epoch("ts", time_unit="ms")
    told = log.requests.select(
        hour=pl.col("hour").cast(pl.Int8) == time.dt.hour(),
        weekday=pl.col("weekday").cast(pl.Int8) == time.dt.weekday() - 1,
    )
    assert told["hour"].all()
    assert told["weekday"].all()


def test_recent_items_are_clicks_of_the_users_past(log):
    clicked: dict[str, list[str]] = {}
    clicks = log.events.filter("clicked").group_by("request_id").agg("item_id")
    clicks_of = dict(clicks.iter_rows())
    longest = 0
    for request, user, recent in log.requests.select(
        "request_id", "user_id", "recent_items"
    ).iter_rows():
        past = clicked.setdefault(user, [])
        longest = max(longest, len(recent))
        ends = [n for n in range(len(recent), len(past) + 1) if past[n - len(recent) : n] == recent]
        assert ends, "a run of the user's earlier clicks"
        past += clicks_of.get(request, [])
    assert longest == 20


def test_each_request_ranks_candidates_it_does_not_expose(log):
    unexposed = log.events.filter(~pl.col("exposed"))
    assert unexposed.height == pytest.approx(8 * SMALL.requests, rel=0.02)
    assert unexposed["position"].unique().to_list() == [-1]
    assert not unexposed["clicked"].any()


def test_positions_count_from_the_top_of_the_page(log):
    shown = log.events.filter("exposed").group_by("request_id", maintain_order=True)
    positions = shown.agg("position")["position"].to_list()
    assert all(page == list(range(len(page))) for page in positions)


def test_cold_items_are_served_only_late(log):
    half = SMALL.start_ms + SMALL.days * 86_400_000 * 0.4
    seen = log.events.filter("exposed").join(log.requests, on="request_id")
    first = seen.group_by("item_id").agg(pl.col("ts").min())
    late = first.filter(pl.col("ts") > half).height / log.items.height
    assert 0.05 < late < 0.2


def test_exposure_follows_popularity_and_taste(log):
    shown = log.events.filter("exposed")
    by_item = shown.group_by("item_id").len()["len"].sort(descending=True)
    top_tenth = by_item.head(len(by_item) // 10).sum() / by_item.sum()
    assert top_tenth > 0.25  # popular

    with_category = shown.join(log.items, on="item_id").join(log.requests, on="request_id")
    pairs = with_category.group_by("user_id", "category").len()
    share = pairs.group_by("user_id").agg((pl.col("len").max() / pl.col("len").sum()).alias("s"))
    overall = with_category["category"].value_counts(normalize=True)["proportion"].max()
    assert share["s"].mean() > 1.5 * overall  # personal


def _mean_alignment(conflict: float, first: str, second: str) -> float:
    world = draw_world(2000, 500, conflict, 0.1, np.random.default_rng(3))
    a, b = world.utility_UF[first], world.utility_UF[second]
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(cosines.mean())


def test_without_conflict_the_stages_want_the_same_and_with_full_conflict_they_do_not():
    for stage in STAGES[1:]:
        assert _mean_alignment(0.0, "exposure", stage) == pytest.approx(1.0, abs=1e-4)
    assert _mean_alignment(1.0, "click", "conversion") < 0
    halves = [_mean_alignment(c, "click", "conversion") for c in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert halves == sorted(halves, reverse=True)


def test_the_best_list_for_clicks_is_not_the_best_list_for_conversions():
    """By the ground truth itself: among exposed items, what converts is not what is clicked."""
    settings = PRESETS["demo"]
    rng = np.random.default_rng(5)
    world = draw_world(1000, 2000, settings.conflict, 0.1, rng)
    biases = calibrate(world, 15.0, 8, 10.0, 8.0, rng)
    click_UI = 8 * world.utility_UF["click"] @ world.items_IF.T + biases.click
    converts_UI = 8 * world.utility_UF["conversion"] @ world.items_IF.T + biases.conversion
    log_click_UI = -np.logaddexp(0, -click_UI)
    log_both_UI = log_click_UI - np.logaddexp(0, -converts_UI)
    overlap = [
        len(np.intersect1d(clicks[:50], both[:50])) / 50
        for clicks, both in zip(
            np.argsort(-log_click_UI, axis=1), np.argsort(-log_both_UI, axis=1), strict=True
        )
    ]
    assert np.mean(overlap) < 0.6


def test_content_is_a_noisy_view_of_the_factors():
    world = draw_world(100, 500, 0.5, 0.1, np.random.default_rng(0))
    error = np.linalg.norm(world.content_IF - world.items_IF, axis=1)
    assert 0.3 < error.mean() < 0.9  # of unit-length factors: informative, not exact


PEAK = """
import resource, sys
from pathlib import Path
from training.datasets.simulator import SimulatorSettings, simulate
simulate(SimulatorSettings(users=500, items=500, requests=int(sys.argv[1])), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_megabytes(requests: int, out: Path) -> float:
    command = [sys.executable, "-c", PEAK, str(requests), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024  # ru_maxrss is in KiB


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_log(tmp_path):
    short = _peak_megabytes(4_096, tmp_path / "short")
    long = _peak_megabytes(81_920, tmp_path / "long")

    assert long < short + 40


@pytest.mark.parametrize(
    "odd",
    [
        {"users": 1, "items": 100, "requests": 1},
        {"exposures": 1.0, "unexposed": 0, "requests": 3000},
        {"exposures": 2.0, "unexposed": 20, "requests": 1500},
        {"conflict": 0.0, "cold_share": 0.0, "requests": 1500},
        {"conflict": 1.0, "cold_share": 0.5, "days": 1, "requests": 1500},
    ],
)
def test_odd_settings_give_a_sound_log_too(tmp_path, odd):
    settings = SMALL.model_copy(update=odd)
    simulate(settings, tmp_path / "log")
    log = read_log(tmp_path / "log")

    assert log.report.findings == ()
    assert log.requests.height == settings.requests
    unexposed = log.events.height - log.events["exposed"].sum()
    assert unexposed / settings.requests == pytest.approx(settings.unexposed, rel=0.15)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="too few for pages"):
        SimulatorSettings(items=60)
    with pytest.raises(ValueError, match="conflict"):
        SimulatorSettings(conflict=1.5)
    with pytest.raises(ValueError, match="colour"):
        SimulatorSettings.model_validate({"colour": "red"})
