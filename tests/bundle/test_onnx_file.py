"""Large tables of a tower stay in its file, and its vectors are what they were."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.errors import InvalidModelError
from bundle.features import Categorical
from bundle.onnx_file import LARGE, read_model
from bundle.towers import Tower

ROWS, DIM = 20_000, 64
FEATURES = [Categorical(name="user_id", vocabulary="user_id")]


def write(path: Path, rows: int = ROWS) -> np.ndarray:
    """A tower that is a table; the table."""
    table_VM = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "user_id"], ["embedding"])],
        "tower",
        [helper.make_tensor_value_info("user_id", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(table_VM, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return table_VM


def own_bytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Anonymous: +(\d+) kB", text, re.M).group(1))


def test_a_tower_with_a_large_table_answers_from_it(tmp_path):
    table_VM = write(tmp_path / "tower.onnx")
    model, in_the_file = read_model(tmp_path / "tower.onnx")
    assert in_the_file
    assert len(model) < 1000
    rows_B = np.array([0, 7, ROWS - 1])
    found = Tower(tmp_path / "tower.onnx", FEATURES, DIM).embed({"user_id": rows_B})
    np.testing.assert_array_equal(table_VM[rows_B], found)


def test_a_table_costs_a_process_no_memory_of_its_own(tmp_path):
    write(tmp_path / "large.onnx", rows=400_000)  # 102 MB
    Tower(tmp_path / "large.onnx", FEATURES, DIM).embed({"user_id": np.arange(10)})
    before = own_bytes()
    tower = Tower(tmp_path / "large.onnx", FEATURES, DIM)
    tower.embed({"user_id": np.arange(100_000)[::1000]})
    assert own_bytes() - before < 10e6


def test_small_models_are_read_whole(tmp_path):
    write(tmp_path / "tower.onnx", rows=100)
    content = (tmp_path / "tower.onnx").read_bytes()
    assert (content, False) == read_model(tmp_path / "tower.onnx")


@pytest.mark.parametrize("cut", [0, 1, LARGE, -1, -2000])
def test_a_large_file_that_is_no_model_is_refused(tmp_path, cut):
    write(tmp_path / "tower.onnx")
    content = (tmp_path / "tower.onnx").read_bytes()
    broken = (content[cut:] if cut > 0 else content[:cut]) or b"\xff" * (2 * LARGE)
    (tmp_path / "tower.onnx").write_bytes(broken)
    with pytest.raises(InvalidModelError):
        Tower(tmp_path / "tower.onnx", FEATURES, DIM)


def test_a_large_model_that_names_a_file_beside_it_is_refused(tmp_path):
    write(tmp_path / "inner.onnx")
    model = onnx.load(tmp_path / "inner.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(DIM, np.float32), "other"))
    model.graph.node[0].output[0] = "rows"
    model.graph.node.append(helper.make_node("Add", ["rows", "other"], ["embedding"]))
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], "beside.bin")
    onnx.save(model, tmp_path / "tower.onnx")
    assert (tmp_path / "beside.bin").exists()
    assert not read_model(tmp_path / "tower.onnx")[1]
    with pytest.raises(InvalidModelError):
        Tower(tmp_path / "tower.onnx", FEATURES, DIM)


def test_every_weight_of_a_model_is_where_it_was(tmp_path):
    """Read back by onnx itself, which knows nothing of how the file was taken apart."""
    table_VM = write(tmp_path / "tower.onnx")
    model = onnx.load_from_string(read_model(tmp_path / "tower.onnx")[0])
    onnx.external_data_helper.load_external_data_for_model(model, str(tmp_path))
    np.testing.assert_array_equal(table_VM, numpy_helper.to_array(model.graph.initializer[0]))
    assert ort.InferenceSession(model.SerializeToString())
