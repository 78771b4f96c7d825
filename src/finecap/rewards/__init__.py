"""What a sampled caption earns: weighted terms by name, each a score of (image, caption).

    clip_s             w * max(cos(image, caption), 0), w = 2.5, prompt included
    ref_clip_s         harmonic mean of clip_s and the best cosine with a reference
    ref_clip_s_scaled  the same with that cosine times w
    grammar            g(c), the grammar network on the same text encoder
    grammar_log        log g(c), shifted into [0, 1]
    cider              CIDEr-D against the image's references
    length             1 within a window of words, falling linearly outside
    repetition         minus the share of repeated n-grams and of words said twice running
    lm                 what the caption's mean log-probability lacks to a floor
    self_retrieval     whether caption and image find each other among distractors
    itm                a cross-encoder's probability that they match

Equations and ranges stand at each term. Packages add terms of their own (`registry`). Nothing here
has a gradient. The image tower is frozen in every encoder a reward uses, so images come as cached
vectors.
"""

from finecap.rewards.batch import EncodedBatch, RewardBatch
from finecap.rewards.ingredients import Images, Ingredients, images_of
from finecap.rewards.registry import BUILT_IN, Term
from finecap.rewards.reward import Reward

__all__ = [
    "BUILT_IN",
    "EncodedBatch",
    "Images",
    "Ingredients",
    "Reward",
    "RewardBatch",
    "Term",
    "images_of",
]
