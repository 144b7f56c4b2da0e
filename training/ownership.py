"""Layers whose every unit has ONE owner, a stage of the cascade: selective masking.

Decisions
- Ownership is per unit, not per weight. Unit i reads unit j iff owner(j) <= owner(i): exposure
  reads exposure; click reads exposure and click; and so on. One forward pass then yields every
  segment, and a segment cannot depend on anything owned downstream of it.
- Masks are not multiplied, they are cut: each layer holds one block of parameters per owner, and
  activations travel as a list with one tensor per owner. A frozen block is a frozen parameter. What
  a block computes does not depend on which blocks exist after it, so it stays bitwise the same.
- Every parameter of a network lives in an `nn.ParameterList` with one entry per owner so far. The
  last owner holds all that nobody upstream kept; `split` passes a part of it to a new last owner.
- The first owner also owns the raw inputs. Freed units keep their values (warm start).
- A new owner may be given fresh units beside the freed ones. They read all that it may read, and
  nobody reads them yet, so what the network computes does not change. Fresh columns of a table
  start as copies of upstream's: what is known of an id, free to be learnt further.

Dimension letters: B batch, I inputs, U units, V rows of a table, T owners so far.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

ByOwner = list[Tensor]


def joined(parts: ByOwner) -> Tensor:
    """All columns as one tensor; what is one already is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def owned_parameters(network: nn.Module) -> Iterator[tuple[str, nn.ParameterList]]:
    """Every parameter of `network` as (name, one entry per owner)."""
    for name, module in network.named_modules():
        if isinstance(module, nn.ParameterList) and len(module):
            yield name, module


def freeze_all_but(network: nn.Module, owners: range) -> list[nn.Parameter]:
    """Let only the entries of `owners` train, and return them in a fixed order."""
    trainable = []
    for _, entries in owned_parameters(network):
        for owner, entry in enumerate(entries):
            entry.requires_grad_(owner in owners)
            if owner in owners:
                trainable.append(entry)
    return trainable


def replace_entries(entries: nn.ParameterList, tensors: list[Tensor]) -> None:
    """Make `tensors` the entries, one per owner, in memory of their own; owners are never lost.

    Fresh contiguous memory, because the same operation on the same values may round differently
    when alignment or strides differ.
    """
    for owner, tensor in enumerate(tensors):
        entry = nn.Parameter(tensor.detach().clone(memory_format=torch.contiguous_format))
        if owner < len(entries):
            entries[owner] = entry
        else:
            entries.append(entry)


class OwnedTable(nn.Module):
    """An embedding table owned by column: one narrow table per owner, row 0 for the unknown."""

    def __init__(self, rows: int, columns: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        table_VU = torch.randn(rows, columns, generator=generator) * scale
        self.blocks = nn.ParameterList([nn.Parameter(table_VU)])

    def forward(self, ids: Tensor, owners: int, padding: int | None = None) -> ByOwner:
        """[...] rows → per owner [..., U_t]; row `padding` gets no gradient from here."""
        blocks = list(self.blocks)[:owners]
        return [functional.embedding(ids, block, padding_idx=padding) for block in blocks]

    def information(self) -> Tensor:
        """[U] L1 norm of each column of the last owner."""
        information_U: Tensor = self.blocks[-1].detach().abs().sum(dim=0)
        return information_U

    def split(self, keep_U: Tensor, fresh: int = 0) -> Tensor:
        """Leave the columns marked in `keep_U` with the last owner; a new owner gets the others.

        It also gets copies of `fresh` of the first owner's columns, in turn. Returns marks of the
        new owner's columns that are fresh.
        """
        *upstream, last_VU = self.blocks
        kept_VU, freed_VU = last_VU[:, keep_U], last_VU[:, ~keep_U]
        source_VU = upstream[0] if upstream else kept_VU
        copies_VU = source_VU[:, torch.arange(fresh) % source_VU.shape[1]]
        new_VU = torch.cat([freed_VU, copies_VU], dim=1)
        replace_entries(self.blocks, [*upstream, kept_VU, new_VU])
        fresh_U: Tensor = torch.arange(new_VU.shape[1]) >= freed_VU.shape[1]
        return fresh_U


class OwnedLinear(nn.Module):
    """A dense layer as one block per owner; block t maps the inputs of owners <= t to its units."""

    def __init__(self, inputs: int, units: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = inputs**-0.5
        weight_UI = (torch.rand(units, inputs, generator=generator) * 2 - 1) * bound
        self.weights = nn.ParameterList([nn.Parameter(weight_UI)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(units))])

    def forward(self, inputs: ByOwner) -> ByOwner:
        """Per owner [B, I_t] → per owner [B, U_t], for as many owners as `inputs` has."""
        return [
            functional.linear(joined(inputs[: owner + 1]), self.weights[owner], self.biases[owner])
            for owner in range(len(inputs))
        ]

    def information(self) -> Tensor:
        """[U] L1 norm of the incoming weights of each unit of the last owner."""
        information_U: Tensor = self.weights[-1].detach().abs().sum(dim=1)
        return information_U

    def split(
        self,
        keep_inputs: Tensor,
        keep_units: Tensor,
        fresh_inputs: Tensor | None = None,
        fresh_units: int = 0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Leave the marked units with the last owner; a new owner gets the others and fresh ones.

        `keep_inputs` says the same of the layer below, `fresh_inputs` which of the new owner's
        inputs are fresh (None: none). A kept unit loses its edges from the units that were freed
        below it: the only change that a split makes to what the network computes. Returns marks of
        the new owner's units that are fresh.
        """
        *weights, last_UI = self.weights
        *biases, last_U = self.biases
        upstream = last_UI.shape[1] - len(keep_inputs)
        kept = torch.cat([torch.arange(upstream), upstream + keep_inputs.nonzero().flatten()])
        freed = upstream + (~keep_inputs).nonzero().flatten()
        if fresh_inputs is None:
            fresh_inputs = torch.zeros(len(freed), dtype=torch.bool)
        freed_UI = last_UI[~keep_units]
        own_UI = torch.zeros(len(freed_UI), len(fresh_inputs))  # fresh inputs are not read yet
        own_UI[:, ~fresh_inputs] = freed_UI[:, freed].detach()
        inputs = len(kept) + len(fresh_inputs)
        fresh_UI = (torch.rand(fresh_units, inputs, generator=generator) * 2 - 1) * inputs**-0.5
        new_UI = torch.cat([torch.cat([freed_UI[:, kept], own_UI], dim=1), fresh_UI])
        new_U = torch.cat([last_U[~keep_units], torch.zeros(fresh_units)])
        replace_entries(self.weights, [*weights, last_UI[keep_units][:, kept], new_UI])
        replace_entries(self.biases, [*biases, last_U[keep_units], new_U])
        fresh_U: Tensor = torch.arange(len(new_U)) >= len(freed_UI)
        return fresh_U
