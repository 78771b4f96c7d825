"""The drawn world: scenes, their pictures, what people say of them, and their grammar."""

from finecap.data.scenes.build import draw_world

__all__ = ["draw_world"]
