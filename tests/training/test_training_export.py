"""An exported tower computes what torch computes, or is refused."""

import pytest

from training.errors import ExportError
from training.export import check_parity, export_tower
from training.model import TwoTower


def test_an_export_that_differs_from_torch_is_refused(model, data, tmp_path):
    path, schema = tmp_path / "item_tower.onnx", data.schema
    export_tower(model.item, schema.item, schema, path)
    assert check_parity(model.item, schema.item, schema, data.items, path, dim=16) <= 1e-5
    model.item.dense[-1].biases[0].data += 1e-3
    with pytest.raises(ExportError, match="differs from torch"):
        check_parity(model.item, schema.item, schema, data.items, path, dim=16)


@pytest.mark.parametrize(
    ("size", "error", "same"),
    [(1e4, 1e-2, True), (1e4, 1.0, False), (1.0, 1e-3, False), (1.0, float("nan"), False)],
)
def test_what_float32_can_hold_depends_on_the_size_of_a_vector(
    data, config, tmp_path, size, error, same
):
    schema, path = data.schema, tmp_path / "item.onnx"
    model = TwoTower(schema, config.model, seed=0)
    bias = model.item.dense[-1].biases[0].data
    bias += size
    export_tower(model.item, schema.item, schema, path)
    bias += error
    if same:
        assert check_parity(model.item, schema.item, schema, data.items, path, dim=16) > 1e-3
    else:
        with pytest.raises(ExportError, match="differs from torch"):
            check_parity(model.item, schema.item, schema, data.items, path, dim=16)
