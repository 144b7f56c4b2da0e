"""The space of scores: the few directions in which queries tell items apart.

Decisions
- A score is q·x. Items vary in all M dims, but trained queries look in few directions: of 64 dims
  19 to 24 hold all but .2 % of the variance of scores, under the weights that are worst for it, on
  a simulated log and on trivago.
- Coordinates are those in which items vary by one in each dim, without correlation, and queries
  most in the first: (P q)·(T x) = q·x. With S the covariance of items and Q the mean q·qᵀ of
  queries, P = Eᵀ·√S and T = Eᵀ·√S⁻¹, E the eigenvectors of √S·Q·√S.
- Queries count by their scores' deviation, so that long ones are no better heard.
- Every second query drawn chooses the directions, the others judge what each is worth, for each
  weighting: what few ever asked for is not thought worthless. With fewer than FEWEST_USERS, or
  without anything to tell apart, space is as it was.
- Cells see x' · share^¼ (`shaped`), where share, of the variance of scores, is that under the
  weights that look there most. The mean share took up to 1.6 times the visits at recall .98, the
  square root, which the error of scores would ask for, a tenth to a quarter more.
- Who shapes it also says which items are wanted: those among the best of many queries, each user's
  under one weighting. k-means counts them for more (cells.py).

Dimension letters: N items, M vector dims, D dims of the space, B block, U users, Q queries, G
directions of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shares = NDArray[np.float64]
SAMPLE = 65_536  # items that say how items vary
FEWEST_USERS = 32
FLAT = 1e-9  # of the largest variance of items: less is taken for it
WORTHLESS = 1e-4  # share of the variance of scores, under any weights: cells do without such dims
BEST = 0.005  # of the items: the list of a query that says who is wanted
AT_ONCE = 32  # queries


@dataclass(frozen=True)
class ScoreSpace:
    """Coordinates of items and of queries, what they are worth, and who asks."""

    items_DM: Floats
    queries_DM: Floats
    shares_GD: Shares  # of the variance of scores under each weighting; rows sum to 1
    asking_QM: Floats

    def shaped(self, items_BM: Floats) -> Floats:
        """[B, D] What cells see of items."""
        shaped_BD: Floats = items_BM @ self._shaping_MD
        return shaped_BD

    def wanted(self, items_BM: Floats) -> Shares:
        """[B] How often each is among the BEST of these items; 1 on average, or 0: nobody asks."""
        count, most = len(items_BM), math.ceil(BEST * len(items_BM))
        times_B = np.zeros(count)
        for start in range(0, len(self.asking_QM), AT_ONCE):
            scores_BQ = items_BM @ self.asking_QM[start : start + AT_ONCE].T
            best_KQ = np.argpartition(scores_BQ, count - most, axis=0)[count - most :]
            times_B += np.bincount(best_KQ.ravel(), minlength=count)
        return times_B / times_B.mean() if times_B.any() else times_B

    @cached_property
    def _shaping_MD(self) -> Floats:
        most_D = self.shares_GD.max(axis=0)
        worth_D = np.flatnonzero(most_D > WORTHLESS)
        scale_D1 = np.sqrt(np.sqrt(most_D[worth_D] / most_D.max()))[:, None]
        return np.ascontiguousarray((self.items_DM[worth_D] * scale_D1).T.astype(np.float32))


def space_as_it_is(dim: int) -> ScoreSpace:
    """The dims of the vectors, all alike."""
    same_MM = np.eye(dim, dtype=np.float32)
    return ScoreSpace(same_MM, same_MM, np.full((1, dim), 1 / dim), same_MM[:0])


def score_space(items_NM: Floats, queries_GUM: Sequence[Floats]) -> ScoreSpace:
    """The space of these users' queries, under each weighting, over these items."""
    count, dim = items_NM.shape
    sample_BM = np.asarray(items_NM[:: max(1, count // SAMPLE)], np.float64)
    covariance_MM = np.atleast_2d(np.cov(sample_BM.T, bias=True))
    asked_GUM = [_by_deviation(queries_UM, covariance_MM) for queries_UM in queries_GUM]
    choosing_QM = np.concatenate([queries_UM[::2] for queries_UM in asked_GUM])
    if len(queries_GUM[0]) < FEWEST_USERS or not choosing_QM.any():
        return space_as_it_is(dim)
    root_MM, inverse_MM = _roots(covariance_MM)
    heard_MM = choosing_QM.T @ choosing_QM / len(choosing_QM)
    worth_M, directions_MM = np.linalg.eigh(root_MM @ heard_MM @ root_MM)
    directions_MM = directions_MM[:, np.argsort(-worth_M)]
    queries_DM, items_DM = directions_MM.T @ root_MM, directions_MM.T @ inverse_MM
    shares_GD = np.array([_shares(queries_UM[1::2], queries_DM) for queries_UM in asked_GUM])
    coordinates = items_DM.astype(np.float32), queries_DM.astype(np.float32)
    return ScoreSpace(*coordinates, shares_GD, _one_each(queries_GUM))


def _one_each(queries_GUM: Sequence[Floats]) -> Floats:
    """[Q, M] One query of each user who asks for anything, under the weightings in turn."""
    turns = len(queries_GUM)
    asking_QM = np.concatenate([each_UM[turn::turns] for turn, each_UM in enumerate(queries_GUM)])
    return np.ascontiguousarray(asking_QM[asking_QM.any(axis=1)])


def _by_deviation(queries_UM: Floats, covariance_MM: Shares) -> Shares:
    """Queries whose scores deviate by one; those that tell nothing apart are zero."""
    asked_UM = queries_UM.astype(np.float64)
    variance_U = np.einsum("um,mn,un->u", asked_UM, covariance_MM, asked_UM, optimize=True)
    length_U = np.sqrt(np.maximum(variance_U, 0))
    tells_U = length_U > 0
    return np.where(tells_U[:, None], asked_UM / np.where(tells_U, length_U, 1)[:, None], 0)


def _roots(covariance_MM: Shares) -> tuple[Shares, Shares]:
    """√S and √S⁻¹; directions in which items hardly vary count as if they did a little."""
    variances_M, axes_MM = np.linalg.eigh(covariance_MM)
    lengths_M = np.sqrt(np.maximum(variances_M, variances_M.max() * FLAT))
    return (axes_MM * lengths_M) @ axes_MM.T, (axes_MM / lengths_M) @ axes_MM.T


def _shares(queries_UM: Shares, queries_DM: Shares) -> Shares:
    """Of the variance of scores, by dim."""
    power_D = np.square(queries_UM @ queries_DM.T).mean(axis=0)
    total = power_D.sum()
    return np.asarray(power_D / total if total > 0 else np.full(len(power_D), 1 / len(power_D)))
