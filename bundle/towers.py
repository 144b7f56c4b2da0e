"""ONNX towers, held against the feature schema and the segments before the first call.

One thread per session: the callers run one query per core, and more threads only fight. Large
tables are mapped, not read: see onnx_file.py.
onnxruntime reports usage over HTTPS unless told not to before it loads; here it is told not to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort
from numpy.typing import NDArray

from bundle import errors
from bundle.features import Feature, TensorSpec
from bundle.onnx_file import read_model
from bundle.schema import FeatureSchema
from bundle.store import Bundle

OUTPUT = "embedding"
TABLES_FOLDER = "session.model_external_initializers_file_folder_path"
ONNX_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


class Tower:
    """One ONNX tower: encoded features → vectors.

    Raises InvalidModelError for a file that is no model, TowerSignatureError for a model whose
    inputs or output are not those of `features` and `dim`.
    """

    def __init__(self, path: Path, features: Sequence[Feature], dim: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            model, in_the_file = read_model(path)
            if in_the_file:
                options.add_session_config_entry(TABLES_FOLDER, str(path.parent.resolve()))
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  (onnxruntime raises a class per status)
            raise errors.InvalidModelError(
                path.name, "", expected="an ONNX model", found=str(error).splitlines()[0][:200]
            ) from None
        _check(path.name, "inputs", [feature.tensor for feature in features], self._inputs())
        _check(path.name, "output", [TensorSpec(OUTPUT, "float32", (None, dim))], self._outputs())

    def embed(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Vectors [B, M] of a batch of encoded features."""
        vectors_BM: NDArray[np.float32] = self._session.run([OUTPUT], dict(arrays))[0]
        return vectors_BM

    def _inputs(self) -> list[TensorSpec]:
        return [_spec(node) for node in self._session.get_inputs()]

    def _outputs(self) -> list[TensorSpec]:
        return [_spec(node) for node in self._session.get_outputs()]


def open_user_tower(bundle: Bundle) -> Tower:
    """The user tower of a verified bundle."""
    with errors.reading(bundle.directory):
        return _open(bundle, "user_tower.onnx", bundle.schema.user)


def open_item_tower(bundle: Bundle) -> Tower:
    """The item tower of a verified bundle."""
    with errors.reading(bundle.directory):
        return _open(bundle, "item_tower.onnx", bundle.schema.item)


def _open(bundle: Bundle, file: str, features: Sequence[Feature]) -> Tower:
    """A tower that has answered for the last row of each vocabulary: its tables are that long."""
    tower = Tower(bundle.directory / file, features, bundle.segments.dim)
    try:
        tower.embed({feature.name: _last_row(feature, bundle.schema) for feature in features})
    except Exception as error:  # noqa: BLE001  (onnxruntime raises a class per status)
        expected = "a table row for each entry of the vocabularies"
        found = str(error).splitlines()[0][:200]
        raise errors.TowerSignatureError(file, "tables", expected=expected, found=found) from None
    return tower


def _last_row(feature: Feature, schema: FeatureSchema) -> NDArray[Any]:
    tensor, vocabulary = feature.tensor, getattr(feature, "vocabulary", None)
    last = len(schema.vocabularies[vocabulary]) if vocabulary else 0
    return np.full([size or 1 for size in tensor.shape], last, tensor.dtype)


def _spec(node: ort.NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, ONNX_DTYPES.get(node.type, node.type), shape)


def _check(file: str, field: str, expected: list[TensorSpec], found: list[TensorSpec]) -> None:
    by_name = sorted(expected, key=lambda spec: spec.name)
    if by_name != sorted(found, key=lambda spec: spec.name):
        raise errors.TowerSignatureError(file, field, expected=str(expected), found=str(found))
