"""Nothing in; out: the base of every pydantic model of a file that people write."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that refuses unknown fields; its fields' docstrings are their descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Whole(Frozen):
    """A section whose fields mean something only together: who sets one sets them all.

    So a later layer's takes the place of an earlier one's, and never mixes with it.
    """

    def model_post_init(self, _: Any, /) -> None:
        """Count every field as set."""
        self.model_fields_set.update(type(self).model_fields)
