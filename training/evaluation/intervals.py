"""How sure a difference between two methods is: a paired bootstrap over users and seeds.

    draws = Draws.of(user_Q, seeds)
    draws.means(recall_LQ)                       [R, L] of one seed; a hypervolume of them is [R]
    draws.difference(ours_RS, theirs_RS)         of means, of hypervolumes, of anything else

Decisions
- Users are drawn, with all their queries: page views of one user are not independent. Both methods
  answer the same draw, and so do both objectives, so what they share cancels.
- Seeds are drawn too where there are several, one less than there are (Rao and Wu 1988): a draw of
  all S would show (S − 1)/S of the variance between seeds. Five are still few: where seeds vary far
  more than users do, 88 % of the intervals hold the truth (simulated), where as much, 92 %.
- Seed s of one method is held against seed s of the other: they share the exposure model's draws.
- The interval is the basic one, 2·estimate − quantiles. A hypervolume takes maxima, so replicates
  lie above it on average, the more so the more points a front has; the basic interval turns that
  around instead of counting it twice. Two simulated fronts alike differ in 4 % of the cases; ten
  lists of exactly equal worth still beat one of them in a fifth (by quantiles alone in three
  quarters), so a front should be thinned on validation before it is held against single lists.

Dimension letters: S seeds, Q queries, J those with a positive, U users, R replicates (the first is
the sample), L lists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.errors import ConfigError
from training.evaluation.metrics import Floats, Rows

REPLICATES = 2000


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs: estimate, 95 % interval, two-sided p of no difference."""

    estimate: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Draws:
    """How often each user and each seed is drawn in each replicate."""

    user_Q: Rows  # dense numbers
    users_RU: Floats
    seeds_RS: Floats  # rows sum to 1

    @classmethod
    def of(cls, user_Q: Rows, seeds: int, replicates: int = REPLICATES) -> Draws:
        """The sample, and `replicates` draws; the same for the same arguments."""
        rng = np.random.default_rng(0)
        _, dense_Q = np.unique(user_Q, return_inverse=True)
        users, drawn = int(dense_Q.max()) + 1, max(seeds - 1, 1)
        users_RU = rng.multinomial(users, np.full(users, 1 / users), replicates)
        seeds_RS = rng.multinomial(drawn, np.full(seeds, 1 / seeds), replicates)
        return cls(
            dense_Q,
            np.concatenate([np.ones((1, users)), users_RU]),
            np.concatenate([np.full((1, seeds), 1 / seeds), seeds_RS / drawn]),
        )

    def means(self, recall_LQ: Floats) -> Floats:
        """[R, L] mean over the drawn users' queries; NaN is a query that is not judged."""
        judged_Q = ~np.isnan(recall_LQ).all(axis=0)
        users = self.users_RU.shape[1]
        user_J = self.user_Q[judged_Q]
        sums = [np.bincount(user_J, row_J, users) for row_J in recall_LQ[:, judged_Q]]
        sums_LU = np.reshape(sums, (len(recall_LQ), users))
        drawn_R = self.users_RU @ np.bincount(user_J, minlength=users)
        if len(recall_LQ) and not drawn_R.all():
            raise ConfigError(
                f"interval: {len(np.unique(user_J))} users have a positive, and a draw may miss "
                "all of them; expected some ten at least: judge on a longer part of the log"
            )
        means_RL: Floats = (self.users_RU @ sums_LU.T) / drawn_R[:, None]
        return means_RL

    def difference(self, ours_RS: Floats, theirs_RS: Floats) -> Difference:
        """Of any statistic of seeds and replicates."""
        estimate, *replicates = ((ours_RS - theirs_RS) * self.seeds_RS).sum(axis=1)
        turned_R = 2 * estimate - np.asarray(replicates)
        low, high = np.quantile(turned_R, [0.025, 0.975])
        tail = min((turned_R <= 0).sum(), (turned_R >= 0).sum())
        p = min(1.0, 2 * (tail + 1) / (len(turned_R) + 1))
        return Difference(float(estimate), float(low), float(high), float(p))
