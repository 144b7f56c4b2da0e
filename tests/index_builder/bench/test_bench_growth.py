"""What is said of larger catalogues follows from the sizes that were measured."""

import pytest

from index_builder.bench.growth import FITTED, Fit, conclude, fit, measure, predict
from index_builder.errors import InputError
from index_builder.progress import Phases

POWERS = {"ms": 0.5, "bytes": 1.0, "resident": 1.0, "k-means": 1.0, "fill": 1.5, "calibrate": 1.0}


def row(items):
    return {"items": items} | {cost: 0.01 * items**power for cost, power in POWERS.items()}


SIZES = (10_000, 100_000, 400_000, 1_000_000)


def test_powers_are_found_and_the_size_held_out_is_met():
    found = conclude([row(items) for items in SIZES], check=400_000, vector=256, held=0)
    assert {cost: found["fits"][cost]["exponent"] for cost in FITTED} == pytest.approx(POWERS)
    for each in found["check"]:
        assert each["predicted"] == pytest.approx(each["found"])


def test_the_size_held_out_takes_no_part_in_the_fit():
    rows = [row(items) for items in SIZES]
    rows[2]["ms"] *= 100
    found = conclude(rows, check=400_000, vector=256, held=0)
    assert found["fits"]["ms"]["exponent"] == pytest.approx(0.5)
    assert found["fits"]["ms"]["fixed"] == pytest.approx(0, abs=1e-6)
    (ms,) = [each for each in found["check"] if each["cost"] == "ms"]
    assert ms["found"] == pytest.approx(100 * ms["predicted"])


def test_what_a_call_costs_at_any_size_bends_no_power():
    rows = [{"items": items, "ms": 0.02 + 1e-3 * items**0.5} for items in SIZES]
    fitted = fit(rows, "ms")
    assert (fitted.fixed, fitted.exponent) == pytest.approx((0.02, 0.5), rel=1e-3)
    assert fitted.at(10**6) == pytest.approx(1.02)


def test_a_catalogue_is_divided_among_as_many_machines_as_its_bytes_need():
    fits = {cost: Fit(0, 1.0, power) for cost, power in POWERS.items()}
    fits["bytes"] = Fit(0, 140.0, 1.0)
    large = predict(fits, row(10**6), 10**9, vector=256, held=0)
    assert large["machines"] == 3  # 130 GiB, of which a machine takes 48
    assert large["disk_gib"] == pytest.approx((140 + 256) * 1e9 / 2**30)
    assert large["part_ms"] == pytest.approx((10**9 / 3) ** 0.5)
    assert large["build_hours"] > 3 * large["part_build_hours"]  # filling grows faster than items


def test_memory_holds_what_short_codes_read_beside_their_index():
    fits = {cost: Fit(0, 1.0, power) for cost, power in POWERS.items()}
    fits["bytes"] = Fit(0, 24.0, 1.0)
    large = predict(fits, row(10**6), 10**9, vector=256, held=256)
    assert large["machines"] == 6  # 261 GiB
    assert large["memory_gib"] == large["disk_gib"] == pytest.approx((24 + 256) * 1e9 / 2**30)


def test_visits_that_stay_as_they_are_take_time_by_the_root_of_the_items():
    fits = {cost: Fit(0, 1.0, 0.1) for cost in POWERS}
    large = predict(fits, {"items": 10**6, "ms": 0.2}, 10**8, vector=256, held=0)
    assert large["steady_ms"] == large["part_steady_ms"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ((1000, 2000, 4000), "2 to fit, 0 of them"),
        ((1000, 2000, 4000, 8000, 50_000), "4 to fit, 1 of them of 50000 items or more"),
        (
            (50_000, 100_000, 200_000),
            "3 to fit, 3 of them .* beside --check 2000",
        ),
    ],
)
def test_too_few_sizes_to_fit_are_refused_before_anything_is_measured(tmp_path, sizes, found):
    def never(items, work):
        raise AssertionError("nothing may be drawn")

    with pytest.raises(InputError, match=f"--sizes: {found}.*give 3 at least of each"):
        measure(sizes, 2000, never, tmp_path, 1, "wall", {0}, Phases())
