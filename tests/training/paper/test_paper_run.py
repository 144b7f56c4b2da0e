"""What one run leaves, from training to judgement, on tiny logs."""

import numpy as np
import pytest
from support.tiny_training import TINY

from training.config import EvaluationConfig
from training.errors import ConfigError
from training.paper import run
from training.paper.contender import JOINED, MERGED, ONE_WEIGHT, WEIGHTS
from training.paper.run import OWN_LISTS, judge, judged_file, load_found, run_variant
from training.paper.study import Variant

APART = Variant("full-ft, twice", "full-ft")


@pytest.fixture(scope="module", autouse=True)
def short_lists():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "FRONT_K", 5)  # of 40 items
        patch.setattr(run, "QUESTIONS", EvaluationConfig(ks=[5, 10]))
        yield


@pytest.fixture(scope="module")
def segmented(released, log):
    return judge([released], log, released.directory.parent)


@pytest.fixture(scope="module")
def file(make_log, tmp_path_factory):
    """A model for each of two stages."""
    return run_variant(make_log(2), tmp_path_factory.mktemp("work"), APART, 0, TINY)


def test_a_methods_lists_are_kept_query_by_query(segmented, file):
    for judged in (segmented, load_found(file)):
        lists = judged.fronts[OWN_LISTS]
        assert [*judged.metrics] == [*lists.labels]
        for name, recall_OQ in zip(lists.labels, lists.test_LOQ, strict=True):
            expected = [
                parts["all"]["recall@5"]["macro"] for parts in judged.metrics[name].values()
            ]
            np.testing.assert_allclose(np.nanmean(recall_OQ, axis=1), expected, atol=1e-6)


def test_what_a_method_can_be_asked_depends_on_what_it_serves(segmented, file):
    assert [*segmented.fronts] == [OWN_LISTS, WEIGHTS, ONE_WEIGHT]
    assert [*load_found(file).fronts] == [OWN_LISTS, JOINED, MERGED]


def test_one_weight_at_its_default_is_the_fused_list(segmented):
    fronts = segmented.fronts
    lists = (fronts[ONE_WEIGHT], "click 1.8"), (fronts[OWN_LISTS], "fused")
    default, fused = (front.test_LOQ[front.labels.index(label)] for front, label in lists)
    np.testing.assert_array_equal(default, fused)


def test_the_ends_of_two_models_joined_are_the_models_alone(file):
    lists, joined = (load_found(file).fronts[name] for name in (OWN_LISTS, JOINED))
    assert lists.labels[:2] == ("exposure list", "click list")
    np.testing.assert_array_equal(joined.test_LOQ[[0, -1]], lists.test_LOQ[:2])


def test_a_run_that_was_judged_is_not_repeated(file):
    work, before = file.parents[1], file.stat().st_mtime_ns
    assert judged_file(work, APART, 0) == file
    assert run_variant(work / "no log", work, APART, 0, TINY) == file
    assert file.stat().st_mtime_ns == before


def test_what_other_settings_found_is_refused(file):
    with pytest.raises(ConfigError, match="got what others did: delete it"):
        run_variant(file, file.parents[1], APART, 0, [*TINY, "last.epochs=9"])
