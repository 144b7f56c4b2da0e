"""Both towers as ONNX files, proven equal to torch before anybody may serve them.

Decisions
- One named input per feature, as `bundle.features` encodes it; output `embedding`, [B, M] with the
  segments in cascade order; the batch is the only dynamic dimension.
- A file is a pure function of the parameters: the exporter's notes (source lines, paths, tool
  versions) are removed.
- Parity is checked on random and on real inputs at batches of 1, 7 and 1024: shapes that exporters
  and runtimes treat differently.

Dimension letters: B batch, M vector dims.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from bundle.features import Categorical, CategorySequence, Feature, Vector
from bundle.schema import FeatureSchema
from bundle.towers import OUTPUT
from bundle.towers import Tower as OnnxTower
from training.errors import ExportError
from training.model import ServedTower

TOLERANCE = 1e-5
PARITY_BATCHES = (1, 7, 1024)
OPSET = 18
INNER = "/"  # starts the name of every inner value; no feature's name can


class _Exported(nn.Module):
    """A tower with positional inputs and one joined output."""

    def __init__(self, tower: ServedTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, *arrays: Tensor) -> Tensor:
        """Encoded features in input order → [B, M]."""
        return torch.cat(self.tower(dict(zip(self.tower.names, arrays, strict=True))), dim=1)


def export_tower(
    tower: ServedTower, features: Sequence[Feature], schema: FeatureSchema, path: Path
) -> None:
    """Write the tower as one ONNX file."""
    example = random_inputs(features, schema, rows=2, seed=0)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Exported(tower).eval(),
            tuple(example[feature.name] for feature in features),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[f"{INNER}in{place}" for place in range(len(features))],
            output_names=[f"{INNER}out"],
            dynamic_shapes=(tuple({0: batch} for _ in features),),
            verbose=False,
        )
    if program is None:
        raise ExportError(f"{path.name}: torch.onnx returned no program")
    model = program.model_proto
    _strip_notes(model)
    _rename_values(model.graph, [feature.name for feature in features])
    path.write_bytes(model.SerializeToString(deterministic=True))


def check_parity(
    tower: ServedTower,
    features: Sequence[Feature],
    schema: FeatureSchema,
    real: dict[str, Tensor],
    path: Path,
    dim: int,
) -> float:
    """The largest absolute difference between torch and ONNX.

    Raises ExportError above 1e-5, or above 1e-5 of the largest entry where that is more than 1:
    float32 holds a share of a number, not a distance from it.
    """
    exported, errors, largest = OnnxTower(path, features, dim), [0.0], 1.0
    for rows in PARITY_BATCHES:
        random = random_inputs(features, schema, rows, seed=rows)
        count = len(next(iter(real.values())))
        chosen = torch.from_numpy(np.linspace(0, count - 1, rows).astype(np.int64))
        for inputs in (random, {name: array[chosen] for name, array in real.items()}):
            with torch.no_grad():
                expected_BM = torch.cat(tower(inputs), dim=1).numpy()
            found_BM = exported.embed({name: array.numpy() for name, array in inputs.items()})
            errors.append(float(np.abs(expected_BM - found_BM).max()))
            largest = max(largest, float(np.abs(expected_BM).max()))
    worst = float(np.max(errors))  # NaN, if one of them is
    if not worst <= TOLERANCE * largest:
        raise ExportError(
            f"{path.name}: differs from torch by {worst:.2e}, more than {TOLERANCE * largest:.0e}; "
            "float32 cannot do better with inputs in the hundreds: scale vectors to lengths near 1"
        )
    return worst


def random_inputs(
    features: Sequence[Feature], schema: FeatureSchema, rows: int, seed: int
) -> dict[str, Tensor]:
    """Valid inputs of any kind, unknown categories and empty sequences among them."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for feature in features:
        match feature:
            case Categorical() | CategorySequence():
                shape = (rows, *feature.tensor.shape[1:])
                size = len(schema.vocabularies[feature.vocabulary]) + 1
                ids = torch.randint(0, size, shape, generator=generator)  # type: ignore[arg-type]
                padded = torch.rand(shape, generator=generator) < 0.3  # type: ignore[arg-type]
                inputs[feature.name] = ids.masked_fill(padded, 0)
            case Vector():
                inputs[feature.name] = torch.randn(rows, feature.dim, generator=generator)
            case _:
                inputs[feature.name] = torch.randn(rows, generator=generator)
    return inputs


def _strip_notes(model: onnx.ModelProto) -> None:
    """Remove all text that the graph does not need: it names source files and versions."""
    model.producer_name, model.producer_version, model.doc_string = "csmf", "", ""
    graph = model.graph
    graph.doc_string = ""
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


def _rename_values(graph: onnx.GraphProto, features: Sequence[str]) -> None:
    """Give inputs and output their names in the contract, and all inner values names of their own.

    The exporter calls inner values after operators: `embedding`, `relu`. Features may too.
    """
    outer = {f"{INNER}in{place}": name for place, name in enumerate(features)}
    outer[f"{INNER}out"] = OUTPUT

    def renamed(name: str) -> str:
        return outer.get(name, INNER + name) if name else name  # "" is an absent optional input

    for node in graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for part in (*graph.input, *graph.output, *graph.initializer):
        part.name = renamed(part.name)
