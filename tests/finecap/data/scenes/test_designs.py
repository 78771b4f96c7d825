"""Every object has a design that fills its box and shows its colour."""

import pytest

from finecap.data.scenes.designs import DESIGNS, Material
from finecap.data.scenes.shapes import UNITS
from finecap.data.scenes.vocabulary import OBJECTS


def test_every_object_has_a_design() -> None:
    assert list(DESIGNS) == list(OBJECTS)


@pytest.mark.parametrize("name", OBJECTS)
def test_longer_side_is_the_unit(name: str) -> None:
    assert max(DESIGNS[name].width, DESIGNS[name].height) == UNITS


@pytest.mark.parametrize("name", OBJECTS)
def test_body_is_painted(name: str) -> None:
    assert Material.BODY in {material for material, _ in DESIGNS[name].layers}
