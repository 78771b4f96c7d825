"""What all settings of a stage have in common."""

from pydantic import BaseModel, ConfigDict


class Stage(BaseModel):
    """A stage's settings: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
