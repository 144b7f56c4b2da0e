"""Small ONNX towers put together node by node: one encoder per feature, summed. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bundle.features import Categorical, CategorySequence, Feature, Numeric, Vector


def embedding_table(rng: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    table_VM = rng.normal(scale=dim**-0.5, size=(rows, dim)).astype(np.float32)
    table_VM[0] = 0  # unknown
    return table_VM


def make_tower(
    features: Sequence[Feature],
    tables: dict[str, NDArray[np.float32]],
    dim: int,
    rng: np.random.Generator,
) -> onnx.ModelProto:
    """A tower that sums one small encoder per feature: [B, M] float32 named `embedding`."""
    nodes: list[onnx.NodeProto] = []
    constants = {
        "axis_0": np.array([0], np.int64),
        "axis_1": np.array([1], np.int64),
        "axis_2": np.array([2], np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.float32),
        "nothing": np.zeros((1, dim), np.float32),
    }
    for feature in features:
        encode = {
            Categorical: _embed,
            CategorySequence: _masked_mean,
            Numeric: _weigh,
            Vector: _project,
        }[type(feature)]
        nodes += encode(feature, tables, constants, dim, rng)
    parts = [f"{feature.name}__part" for feature in features]
    nodes.append(helper.make_node("Sum", [*parts, "nothing"], ["embedding"]))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tower",
        [_value(feature.tensor) for feature in features],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim])],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _embed(feature, tables, constants, dim, rng):
    table = f"{feature.vocabulary}__table"
    constants[table] = tables[feature.vocabulary]
    part = f"{feature.name}__part"
    return [helper.make_node("Gather", [table, feature.name], [part])]


def _masked_mean(feature, tables, constants, dim, rng):
    table = f"{feature.vocabulary}__table"
    constants[table] = tables[feature.vocabulary]
    name = feature.name
    step = f"{name}__".__add__
    return [
        helper.make_node("Gather", [table, name], [step("rows")]),
        helper.make_node("Greater", [name, "zero"], [step("known")]),
        helper.make_node("Cast", [step("known")], [step("mask")], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", [step("mask"), "axis_2"], [step("mask3")]),
        helper.make_node("Mul", [step("rows"), step("mask3")], [step("kept")]),
        helper.make_node("ReduceSum", [step("kept"), "axis_1"], [step("sum")], keepdims=0),
        helper.make_node("ReduceSum", [step("mask"), "axis_1"], [step("count")], keepdims=1),
        helper.make_node("Max", [step("count"), "one"], [step("divisor")]),
        helper.make_node("Div", [step("sum"), step("divisor")], [step("part")]),
    ]


def _weigh(feature, tables, constants, dim, rng):
    name = feature.name
    constants[f"{name}__weight"] = rng.normal(scale=0.1, size=(1, dim)).astype(np.float32)
    return [
        helper.make_node("Unsqueeze", [name, "axis_1"], [f"{name}__column"]),
        helper.make_node("MatMul", [f"{name}__column", f"{name}__weight"], [f"{name}__part"]),
    ]


def _project(feature, tables, constants, dim, rng):
    weight = f"{feature.name}__weight"
    scale = feature.dim**-0.5
    constants[weight] = rng.normal(scale=scale, size=(feature.dim, dim)).astype(np.float32)
    return [helper.make_node("MatMul", [feature.name, weight], [f"{feature.name}__part"])]


def _value(tensor):
    dtype = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}[tensor.dtype]
    return helper.make_tensor_value_info(tensor.name, dtype, ["batch", *tensor.shape[1:]])
