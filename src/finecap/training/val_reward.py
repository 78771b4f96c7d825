"""A look at val during self-critical training: the arm's own reward, and whether it still speaks.

A reward can be hacked: detail bought with repetition, sentences that break off, ever fewer words.
Each look logs what that shows in; a moment past a guard is never chosen, whatever its reward. The
judge is never asked.
"""

from collections.abc import Sequence
from statistics import fmean

from finecap.config import ScstConfig
from finecap.data.records import Record
from finecap.log import Log
from finecap.metrics import fluency
from finecap.models.captioner import Captioner
from finecap.models.captions import greedy_captions
from finecap.models.features import Features
from finecap.rewards import Reward, RewardBatch
from finecap.training.processes import ALONE, Processes
from finecap.training.selection import Best


class ValReward:
    """Scores greedy captions of val images."""

    def __init__(
        self,
        policy: Captioner,
        reward: Reward,
        features: Features,
        val: Sequence[Record],
        config: ScstConfig,
        log: Log,
        processes: Processes = ALONE,
    ) -> None:
        self.policy, self.reward, self.features = policy, reward, features
        self.config, self.log, self.processes = config, log, processes
        self.val = list(val)[: config.val_images]

    def offer(self, best: Best, step: int) -> None:
        """Look now; the policy is kept when it is the best so far within the guards.

        The start is within them whatever it says: there is then always something to keep.
        """
        looked_at = self.processes.map(self._rewarded, self.val)
        # Of the same numbers in the same order, so that all processes choose alike.
        value = fmean(reward for _, reward in looked_at)
        shown = signs_of_hacking([caption for caption, _ in looked_at])
        is_fluent = (
            shown["val_repetition"] <= self.config.max_repetition
            and shown["val_bad_endings"] <= self.config.max_bad_endings
        )
        best.offer(value, step, is_allowed=is_fluent or step == 0)
        self.log("val", step, val_reward=value, val_best=best.value, **shown)

    def _rewarded(self, records: Sequence[Record]) -> list[tuple[str, float]]:
        """The greedy caption of each, and its reward."""
        images = [r.image for r in records]
        captions = greedy_captions(self.policy, self.features, images, self.config.max_tokens)
        at, references = self.features.positions(images), [r.captions for r in records]
        batch = RewardBatch([[c] for c in captions], self.features.vectors_of(at), references, at)
        rewards = self.reward(batch)[0][:, 0]  # (N, 1) -> (N,)
        return list(zip(captions, rewards.tolist(), strict=True))


def signs_of_hacking(captions: Sequence[str]) -> dict[str, float]:
    """What a reward that is exploited shows in: repetition, endings, length, variety of words."""
    return {
        "val_repetition": fluency.repetition_rate(captions),
        "val_bad_endings": fluency.bad_ending_rate(captions),
        "val_distinct_2": fluency.distinct_n(captions, 2),
        "val_length": fluency.mean_length(captions),
        "val_vocabulary": float(fluency.vocabulary(captions)),
    }
