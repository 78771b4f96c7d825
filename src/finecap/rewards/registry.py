"""Reward terms by name: the built-in ones, and those of installed packages.

A package adds a term by an entry point of group `finecap.rewards`, its name the term's and its
object a factory, `Ingredients -> Term`:

    [project.entry-points."finecap.rewards"]
    politeness = "my_package:Politeness"

Its name then stands in a profile's `weights` like any other. The package's name and version enter
the data version of the captioners that use it, so that another release of it trains them anew. Its
code does not: after a change without another version (an editable install), force them.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from torch import Tensor

from finecap.rewards import terms
from finecap.rewards.batch import EncodedBatch
from finecap.rewards.image_text_matching import ImageTextMatching
from finecap.rewards.ingredients import Ingredients
from finecap.rewards.self_retrieval import SelfRetrieval

GROUP = "finecap.rewards"


class Term(Protocol):
    """A score of (image, caption), without gradient."""

    def __call__(self, batch: EncodedBatch) -> Tensor:
        """(B, K)."""
        ...


Factory = Callable[[Ingredients], Term]

BUILT_IN: dict[str, Factory] = {
    term.name: term
    for term in (
        terms.ClipS,
        terms.RefClipS,
        terms.RefClipSScaled,
        terms.Grammar,
        terms.GrammarLog,
        terms.Cider,
        terms.Length,
        terms.Repetition,
        terms.LanguageModelFloor,
        SelfRetrieval,
        ImageTextMatching,
    )
}


def plug_ins() -> dict[str, EntryPoint]:
    """Terms of installed packages, by name; none is imported yet.

    Raises:
        ValueError: two have one name, or one has a built-in term's.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in BUILT_IN or found.get(point.name, point) != point:
            raise ValueError(
                f"entry point `{point.name}` ({point.value}) of group {GROUP}: another reward term "
                "has that name; rename one"
            )
        found[point.name] = point
    return found


def make_term(name: str, ingredients: Ingredients) -> Term:
    """The term of that name.

    Raises:
        ValueError: no term has it, or an ingredient is missing.
    """
    if name in BUILT_IN:
        return BUILT_IN[name](ingredients)
    others = plug_ins()
    if name not in others:
        known = ", ".join([*BUILT_IN, *sorted(others)])
        raise ValueError(f"unknown reward term `{name}`, expected some of {known}")
    factory: Factory = others[name].load()
    return factory(ingredients)
