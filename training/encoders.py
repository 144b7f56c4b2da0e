"""One small encoder per feature type, in front of the owned layers.

Decisions
- An encoder maps one encoded feature (see `bundle.features`) to columns, one tensor per owner. That
  is all the cascade knows of it, so a graph or an image encoder can join by offering the same three
  methods: `forward`, `information`, `split`.
- Categories and sequences have a table of their own per feature, owned by column: the two towers
  must stay separable. Tables that share a vocabulary START from the same values, so that what the
  layers learn of "the same id on both sides" holds for ids that were hardly ever trained too.
- A sequence is the mean of its known entries (an Embedding and a masked mean: EmbeddingBag costs
  thirty times as much in onnxruntime).
- Numbers and vectors are inputs, not parameters. They belong to the first owner; every later stage
  may read them.

Dimension letters: B batch, L sequence length, D vector dims, U columns.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from bundle.features import Categorical, CategorySequence, Feature, Numeric, Vector
from bundle.schema import FeatureSchema
from training.ownership import ByOwner, OwnedTable

TABLE_SCALE = 0.1  # standard deviation of a fresh table: the scores of a fresh model are near zero


class CategoryEncoder(nn.Module):
    """int64 [B] → the columns of one row."""

    def __init__(self, rows: int, columns: int, generator: torch.Generator) -> None:
        super().__init__()
        self.table = OwnedTable(rows, columns, TABLE_SCALE, generator)

    def forward(self, ids_B: Tensor, owners: int) -> ByOwner:
        """Per owner [B, U_t]."""
        return self.table(ids_B, owners)  # type: ignore[no-any-return]  # nn.Module calls are Any

    def information(self) -> Tensor:
        """[U] of the last owner's columns."""
        return self.table.information()

    def split(self, keep_U: Tensor, fresh: int) -> Tensor:
        """Pass the unmarked columns to a new owner, with fresh ones; marks of its fresh columns."""
        return self.table.split(keep_U, fresh)


class SequenceEncoder(CategoryEncoder):
    """int64 [B, L], zeros for padding → the mean of the known entries' rows; zeros for none."""

    def forward(self, ids_BL: Tensor, owners: int) -> ByOwner:
        """Per owner [B, U_t]."""
        known_BL = (ids_BL > 0).to(torch.float32)
        weights_BL = known_BL / known_BL.sum(dim=1, keepdim=True).clamp(min=1.0)
        rows = self.table(ids_BL, owners, padding=0)
        return [torch.bmm(weights_BL.unsqueeze(1), rows_BLU).squeeze(1) for rows_BLU in rows]


class InputEncoder(nn.Module):
    """float32 [B] or [B, D], passed on as it is to the first owner."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, values: Tensor, owners: int) -> ByOwner:
        """[B, D], for the first owner only, whatever `owners` is."""
        return [values.reshape(-1, self.columns)]


Encoder = CategoryEncoder | InputEncoder


def build_encoder(
    feature: Feature, schema: FeatureSchema, columns: int, seed: int
) -> tuple[Encoder, int]:
    """The encoder of one declared feature, and how many columns it yields."""
    match feature:
        case Categorical():
            return CategoryEncoder(*_table(feature.vocabulary, schema, columns, seed)), columns
        case CategorySequence():
            return SequenceEncoder(*_table(feature.vocabulary, schema, columns, seed)), columns
        case Numeric():
            return InputEncoder(1), 1
        case Vector():
            return InputEncoder(feature.dim), feature.dim


def _table(
    vocabulary: str, schema: FeatureSchema, columns: int, seed: int
) -> tuple[int, int, torch.Generator]:
    """Rows, columns and the generator of a table: the same for all tables of a vocabulary."""
    rows = len(schema.vocabularies[vocabulary]) + 1
    generator = torch.Generator().manual_seed(zlib.crc32(vocabulary.encode(), seed))
    return rows, columns, generator
