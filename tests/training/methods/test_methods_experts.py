"""The rivals with experts, on cascades of any length."""

import pytest
import torch
from support.tiny_training import TINY

from training.config import TrainConfig
from training.data import build_training_data
from training.export import check_parity, export_tower
from training.logs.reader import read_log
from training.methods.experts import margin_model
from training.methods.registry import build_method, served_names
from training.presets import load_config
from training.progress import ProgressReport
from training.trainer import Trainer


@pytest.mark.parametrize("start", ["exposure", "scratch"])
@pytest.mark.parametrize("stages", [2, 5])
@pytest.mark.parametrize("method", ["dmtl", "mvke", "dmmp"])
def test_a_rival_with_experts_trains_on_a_cascade_of_any_length(
    make_log, tmp_path, method, stages, start
):
    data = build_training_data(read_log(make_log(stages)), min_count=1)
    words = [*TINY, "middle.epochs=1", "last.epochs=1", f"method.start={start}"]
    config = load_config(assignments=words, method=method)
    trainer = Trainer(build_method(data, config), tmp_path / "checkpoint.npz", every=1000)
    trainer.run(ProgressReport(tmp_path))
    served = trainer.method.served()
    assert tuple(served) == served_names(config, data.stages)
    for model in served.values():
        users, items = model.user(data.requests), model.item(data.items)
        assert torch.cat(users, dim=1).shape[1] == model.segments.dim
        assert torch.cat(items, dim=1).shape[1] == model.segments.dim


def test_only_the_exposure_model_makes_a_margin(model):
    assert margin_model(model, TrainConfig()) == [(model.user, model.item)]
    for words in (["method.start=scratch"], ["margin.form=none"]):
        assert margin_model(model, load_config(assignments=words)) == []


@pytest.mark.parametrize("method", ["mvke", "dmmp"])
def test_served_towers_with_experts_leave_torch_as_they_are(data, tmp_path, method):
    """dmtl serves a plain tower, as others do; check_parity raises where ONNX differs."""
    config = load_config(assignments=[*TINY, "method.kernels=2"], method=method)
    served = build_method(data, config).served()
    model = list(served.values())[-1]
    for tower, features, real in (
        (model.user, data.schema.user, data.requests),
        (model.item, data.schema.item, data.items),
    ):
        path = tmp_path / "tower.onnx"
        export_tower(tower, features, data.schema, path)
        check_parity(tower, features, data.schema, real, path, model.segments.dim)
