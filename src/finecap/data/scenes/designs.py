"""What each object looks like: layers of shapes, painted in order, each of one material.

A design is data only. `BODY`, `LIGHT`, `SHADE` take the object's colour (so its colour can be read
off at a glance); the other materials are the same for every colour. Units: the longer side is 240.
"""

from dataclasses import dataclass
from enum import IntEnum

from finecap.data.scenes.shapes import Ellipse, Polygon, Shape, circle, rectangle


class Material(IntEnum):
    """What a layer is made of; `NOTHING` cuts away what lies below it."""

    NOTHING = 0
    OUTLINE = 1
    BODY = 2
    LIGHT = 3
    SHADE = 4
    WOOD = 5
    DARK = 6
    GLASS = 7
    CREAM = 8
    LEAF = 9
    METAL = 10
    ROOF = 11
    BEAK = 12
    PINK = 13
    SEED = 14
    PANE = 15


M = Material


@dataclass(frozen=True, slots=True)
class Design:
    """An object's box in units, its layers from back to front, and where in them the box begins."""

    width: int
    height: int
    layers: tuple[tuple[Material, Shape], ...]
    left: int = 0
    top: int = 0


def _polygon(*points: tuple[int, int]) -> Polygon:
    """A polygon from its corners, so that a design reads as a list of points."""
    return Polygon(points)


_BOAT = Design(240, 240, (
    (M.WOOD, rectangle(112, 2, 124, 176)),
    (M.BODY, _polygon((130, 14), (166, 70), (206, 148), (130, 148))),
    (M.SHADE, _polygon((130, 104), (184, 104), (206, 148), (130, 148))),
    (M.LIGHT, _polygon((106, 34), (106, 148), (38, 148), (70, 90))),
    (M.BODY, _polygon((4, 166), (236, 166), (222, 200), (196, 236), (52, 236), (22, 200))),
    (M.SHADE, _polygon((30, 210), (214, 210), (196, 236), (52, 236))),
    (M.LIGHT, _polygon((4, 166), (236, 166), (231, 180), (9, 180))),
    (M.CREAM, circle(80, 196, 8)),
    (M.CREAM, circle(120, 196, 8)),
    (M.CREAM, circle(160, 196, 8)),
))  # fmt: skip

_HOUSE = Design(240, 232, (
    (M.SHADE, rectangle(172, 16, 200, 90)),
    (M.BODY, rectangle(26, 92, 214, 230)),
    (M.SHADE, rectangle(26, 92, 214, 118)),
    (M.ROOF, _polygon((2, 110), (120, 4), (238, 110))),
    (M.BODY, circle(120, 76, 17)),
    (M.GLASS, circle(120, 76, 11)),
    (M.WOOD, rectangle(98, 146, 144, 230)),
    (M.CREAM, circle(134, 190, 5)),
    (M.CREAM, rectangle(42, 132, 84, 178)),
    (M.PANE, rectangle(47, 137, 79, 173)),
    (M.CREAM, rectangle(61, 132, 66, 178)),
    (M.CREAM, rectangle(158, 132, 200, 178)),
    (M.PANE, rectangle(163, 137, 195, 173)),
    (M.CREAM, rectangle(177, 132, 182, 178)),
))  # fmt: skip

_TREE = Design(204, 240, (
    (M.WOOD, _polygon((88, 130), (116, 130), (118, 214), (134, 238), (70, 238), (86, 214))),
    (M.BODY, circle(102, 62, 58)),
    (M.BODY, circle(52, 108, 48)),
    (M.BODY, circle(152, 108, 48)),
    (M.BODY, circle(102, 126, 50)),
    (M.SHADE, Ellipse(150, 134, 40, 22)),
    (M.SHADE, Ellipse(64, 142, 34, 15)),
    (M.SHADE, Ellipse(108, 154, 32, 22)),
    (M.LIGHT, Ellipse(80, 44, 30, 22)),
    (M.LIGHT, Ellipse(42, 94, 22, 16)),
    (M.LIGHT, Ellipse(138, 88, 20, 13)),
))  # fmt: skip

_CAR = Design(240, 136, (
    (M.BODY, _polygon((46, 66), (76, 6), (162, 6), (202, 66))),
    (M.GLASS, _polygon((66, 60), (86, 18), (116, 18), (116, 60))),
    (M.GLASS, _polygon((126, 60), (126, 18), (156, 18), (184, 60))),
    (M.BODY, _polygon((3, 66), (20, 56), (204, 56), (232, 70), (238, 84), (238, 110), (3, 110))),
    (M.LIGHT, _polygon((12, 62), (20, 56), (204, 56), (216, 62))),
    (M.SHADE, rectangle(3, 92, 238, 110)),
    (M.CREAM, Ellipse(228, 82, 9, 8)),
    (M.PINK, rectangle(3, 74, 13, 86)),
    (M.METAL, rectangle(128, 70, 146, 75)),
    (M.DARK, circle(60, 106, 29)),
    (M.METAL, circle(60, 106, 14)),
    (M.DARK, circle(184, 106, 29)),
    (M.METAL, circle(184, 106, 14)),
))  # fmt: skip

_CAT = Design(174, 240, (
    (M.BODY, _polygon((120, 232), (164, 222), (190, 184), (192, 134), (178, 114), (164, 124),
                      (170, 160), (158, 190), (120, 200))),
    (M.BODY, Ellipse(92, 178, 62, 60)),
    (M.BODY, _polygon((50, 110), (134, 110), (146, 170), (40, 170))),
    (M.BODY, _polygon((28, 74), (24, 4), (78, 34))),
    (M.BODY, _polygon((106, 34), (160, 4), (156, 74))),
    (M.PINK, _polygon((36, 46), (34, 20), (58, 36))),
    (M.PINK, _polygon((126, 36), (150, 20), (148, 46))),
    (M.BODY, Ellipse(92, 78, 68, 54)),
    (M.LIGHT, Ellipse(92, 178, 32, 46)),
    (M.SHADE, Ellipse(140, 196, 18, 30)),
    (M.SHADE, _polygon((84, 26), (100, 26), (95, 50), (89, 50))),
    (M.LIGHT, Ellipse(92, 102, 28, 18)),
    (M.LIGHT, Ellipse(66, 228, 24, 10)),
    (M.LIGHT, Ellipse(116, 228, 24, 10)),
    (M.CREAM, Ellipse(62, 74, 16, 17)),
    (M.CREAM, Ellipse(122, 74, 16, 17)),
    (M.DARK, Ellipse(64, 75, 8, 13)),
    (M.DARK, Ellipse(120, 75, 8, 13)),
    (M.PINK, _polygon((82, 92), (102, 92), (92, 104))),
    (M.DARK, rectangle(90, 103, 94, 113)),
), left=22)  # fmt: skip

_BIRD = Design(240, 184, (
    (M.DARK, rectangle(96, 148, 104, 192)),
    (M.DARK, rectangle(124, 148, 132, 192)),
    (M.DARK, rectangle(94, 186, 116, 193)),
    (M.DARK, rectangle(122, 186, 144, 193)),
    (M.SHADE, _polygon((50, 84), (2, 66), (10, 92), (2, 118), (56, 124))),
    (M.BEAK, _polygon((206, 46), (239, 66), (206, 78))),
    (M.BODY, Ellipse(112, 106, 78, 54)),
    (M.BODY, circle(174, 58, 44)),
    (M.BODY, _polygon((134, 40), (206, 88), (176, 128), (100, 66))),
    (M.LIGHT, Ellipse(142, 128, 40, 24)),
    (M.SHADE, _polygon((48, 116), (66, 74), (122, 74), (146, 92), (128, 128), (84, 142))),
    (M.LIGHT, _polygon((70, 112), (118, 90), (134, 96), (112, 108))),
    (M.LIGHT, _polygon((80, 130), (116, 114), (126, 118), (104, 128))),
    (M.CREAM, circle(186, 50, 14)),
    (M.DARK, circle(189, 51, 8)),
), top=12)  # fmt: skip

_BALLOON = Design(188, 240, (
    (M.WOOD, _polygon((58, 178), (64, 178), (74, 212), (68, 212))),
    (M.WOOD, _polygon((130, 178), (124, 178), (114, 212), (120, 212))),
    (M.BODY, circle(94, 94, 91)),
    (M.BODY, _polygon((14, 138), (174, 138), (122, 194), (66, 194))),
    (M.SHADE, Ellipse(94, 94, 64, 91)),
    (M.SHADE, _polygon((37, 134), (151, 134), (112, 194), (76, 194))),
    (M.BODY, Ellipse(94, 94, 40, 91)),
    (M.BODY, _polygon((58, 134), (130, 134), (104, 194), (84, 194))),
    (M.LIGHT, Ellipse(94, 94, 15, 91)),
    (M.LIGHT, _polygon((81, 136), (107, 136), (99, 194), (89, 194))),
    (M.SHADE, rectangle(66, 188, 122, 196)),
    (M.WOOD, _polygon((66, 208), (122, 208), (117, 238), (71, 238))),
    (M.SEED, rectangle(66, 208, 122, 215)),
))  # fmt: skip

_UMBRELLA = Design(240, 240, (
    (M.METAL, rectangle(116, 2, 124, 24)),
    (M.BODY, Ellipse(120, 126, 117, 110, clip=(0, 0, 240, 126))),
    (M.SHADE, Ellipse(120, 126, 80, 110, clip=(0, 0, 240, 126))),
    (M.LIGHT, Ellipse(120, 126, 38, 110, clip=(0, 0, 240, 126))),
    (M.NOTHING, Ellipse(22, 128, 20, 15)),
    (M.NOTHING, Ellipse(62, 128, 20, 15)),
    (M.NOTHING, Ellipse(120, 128, 38, 18)),
    (M.NOTHING, Ellipse(178, 128, 20, 15)),
    (M.NOTHING, Ellipse(218, 128, 20, 15)),
    (M.WOOD, circle(144, 208, 29)),
    (M.NOTHING, circle(144, 208, 14)),
    (M.NOTHING, rectangle(104, 168, 180, 206)),
    (M.WOOD, rectangle(114, 108, 126, 208)),
    (M.WOOD, rectangle(159, 196, 173, 208)),
))  # fmt: skip

_AIRPLANE = Design(240, 152, (
    (M.SHADE, _polygon((110, 60), (150, 58), (112, 8), (88, 8))),
    (M.BODY, _polygon((14, 66), (2, 10), (34, 10), (76, 60))),
    (M.BODY, _polygon((14, 62), (60, 52), (196, 50), (224, 60), (238, 76), (222, 90), (190, 98),
                      (70, 98), (30, 84))),
    (M.SHADE, _polygon((20, 74), (238, 78), (222, 90), (190, 98), (70, 98), (30, 84))),
    (M.GLASS, _polygon((196, 54), (214, 58), (226, 70), (200, 70))),
    (M.GLASS, circle(88, 67, 7)),
    (M.GLASS, circle(112, 67, 7)),
    (M.GLASS, circle(136, 67, 7)),
    (M.GLASS, circle(160, 67, 7)),
    (M.GLASS, circle(182, 67, 6)),
    (M.LIGHT, _polygon((98, 84), (152, 84), (96, 148), (62, 148))),
    (M.SHADE, _polygon((12, 70), (46, 70), (22, 96), (4, 96))),
    (M.METAL, Ellipse(118, 112, 22, 9)),
))  # fmt: skip

_BENCH = Design(240, 172, (
    (M.METAL, _polygon((30, 4), (46, 4), (46, 168), (30, 168))),
    (M.METAL, _polygon((194, 4), (210, 4), (210, 168), (194, 168))),
    (M.BODY, rectangle(6, 10, 234, 34)),
    (M.BODY, rectangle(6, 42, 234, 66)),
    (M.SHADE, rectangle(6, 28, 234, 34)),
    (M.SHADE, rectangle(6, 60, 234, 66)),
    (M.METAL, rectangle(14, 112, 28, 170)),
    (M.METAL, rectangle(212, 112, 226, 170)),
    (M.LIGHT, _polygon((14, 84), (226, 84), (236, 104), (4, 104))),
    (M.BODY, rectangle(4, 104, 236, 124)),
    (M.SHADE, rectangle(4, 117, 236, 124)),
    (M.METAL, rectangle(2, 72, 26, 80)),
    (M.METAL, rectangle(214, 72, 238, 80)),
))  # fmt: skip

_FLOWER = Design(164, 240, (
    (M.LEAF, rectangle(90, 120, 103, 238)),
    (M.LEAF, Ellipse(60, 196, 38, 15)),
    (M.LEAF, Ellipse(134, 178, 38, 15)),
    (M.BODY, circle(96, 36, 34)),
    (M.BODY, circle(96, 132, 34)),
    (M.SHADE, circle(142, 60, 34)),
    (M.SHADE, circle(50, 108, 34)),
    (M.BODY, circle(142, 108, 34)),
    (M.BODY, circle(50, 60, 34)),
    (M.LIGHT, circle(96, 36, 18)),
    (M.LIGHT, circle(50, 60, 18)),
    (M.LIGHT, circle(142, 60, 14)),
    (M.BODY, circle(96, 84, 42)),
    (M.SEED, circle(96, 84, 30)),
    (M.BEAK, circle(91, 78, 15)),
), left=14)  # fmt: skip

_KITE = Design(192, 240, (
    (M.DARK, _polygon((92, 160), (100, 160), (128, 196), (88, 220), (104, 238), (96, 239),
                      (76, 220), (114, 197))),
    (M.BODY, _polygon((96, 2), (96, 70), (8, 70))),
    (M.LIGHT, _polygon((96, 2), (184, 70), (96, 70))),
    (M.SHADE, _polygon((8, 70), (96, 70), (96, 168))),
    (M.BODY, _polygon((184, 70), (96, 70), (96, 168))),
    (M.DARK, rectangle(93, 6, 99, 164)),
    (M.DARK, rectangle(12, 67, 180, 73)),
    (M.BODY, _polygon((118, 196), (94, 182), (100, 206), (142, 188), (142, 208))),
    (M.BODY, _polygon((84, 220), (56, 208), (58, 232), (106, 210), (106, 230))),
))  # fmt: skip

DESIGNS: dict[str, Design] = {
    "boat": _BOAT,
    "house": _HOUSE,
    "tree": _TREE,
    "car": _CAR,
    "cat": _CAT,
    "bird": _BIRD,
    "balloon": _BALLOON,
    "umbrella": _UMBRELLA,
    "airplane": _AIRPLANE,
    "bench": _BENCH,
    "flower": _FLOWER,
    "kite": _KITE,
}
"""Every object of the vocabulary."""
