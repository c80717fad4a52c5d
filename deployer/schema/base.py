"""Declare the base of every pydantic model of a file that people write."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that refuses unknown fields; its fields' docstrings are their descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class AtomicSection(Frozen):
    """A section whose fields belong together: setting one field sets them all.

    So the section of a later layer replaces that of an earlier layer, and never mixes with it.
    """

    def model_post_init(self, _: Any, /) -> None:
        """Count every field as set."""
        self.model_fields_set.update(type(self).model_fields)
