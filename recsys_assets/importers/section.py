"""What all tables of a mapping file are."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One table of a mapping file; a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
