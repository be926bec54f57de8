"""A number of a profile: value, interval, and where it comes from."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_TEXT = 600

Number = Annotated[float, Field(strict=True, ge=0, le=1e24, allow_inf_nan=False)]
"""A finite number that is not negative; neither a string nor a truth value is taken for one."""

Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""One line of plain text: a profile may come from anywhere and is printed on a terminal."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
LONGEST_PROFILE_NAME = 60
ShortName = Annotated[str, Field(max_length=LONGEST_PROFILE_NAME, pattern=NAME_PATTERN)]
"""Name of a profile, a pool or a mode, as it is typed on the command line."""


class Frozen(BaseModel):
    """What every part of a profile is: unchangeable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantity(Frozen):
    """A number with where it comes from; a bare number in a profile is a value without a stated source.

    Attributes:
        value: best known value, in the unit that the key's name ends in.
        low: lowest value that a source states or that is possible.
        high: highest.
        source: data sheet, page, repository or measurement; ``assumed: …`` where there is none.
        url: where to read it.
        date: of the source, as far as known (``2025``, ``2025-03``, ``2025-03-18``).
    """

    value: Number
    low: Number | None = None
    high: Number | None = None
    source: Text = ""
    url: Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^(https?://[^\x00-\x20\x7f-\x9f]+)?$")] = ""
    date: Annotated[str, Field(pattern=r"^(\d{4}(-\d{2}(-\d{2})?)?)?$")] = ""

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data}
        if isinstance(data, dict) and isinstance(data.get("date"), datetime.date):  # TOML's own dates
            return {**data, "date": data["date"].isoformat()[:10]}
        return data

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        if not self.lower <= self.value <= self.upper:
            raise ValueError(f"low {self.lower:g}, value {self.value:g} and high {self.upper:g} are not in this order")
        return self

    @property
    def lower(self) -> float:
        """Low end of the interval; the value itself where none is stated."""
        return self.value if self.low is None else self.low

    @property
    def upper(self) -> float:
        """High end of the interval; the value itself where none is stated."""
        return self.value if self.high is None else self.high

    @property
    def assumed(self) -> bool:
        """Whether nobody measured or published it."""
        return self.source.startswith("assumed")

    def times(self, factor: Quantity, why: str) -> Quantity:
        """The product with another quantity; the interval is that of two quantities that may both be off.

        Args:
            factor: what to multiply with [1].
            why: one phrase, appended to the source.
        """
        exact = self.low is None and self.high is None and factor.low is None and factor.high is None
        return self.model_copy(
            update={
                "value": self.value * factor.value,
                "low": None if exact else self.lower * factor.lower,
                "high": None if exact else self.upper * factor.upper,
                "source": _joined(self.source, why),
            }
        )

    def at_most(self, limit: Quantity, why: str) -> Quantity:
        """This quantity where it is within a limit, else with every number above the limit lowered to it.

        Args:
            limit: the other quantity, in the same unit.
            why: one phrase, appended to the source if anything is lowered.
        """
        if self.upper <= limit.value:
            return self
        low, value, high = (None if end is None else min(end, limit.value) for end in (self.low, self.value, self.high))
        return self.model_copy(update={"low": low, "value": value, "high": high, "source": _joined(self.source, why)})


def _joined(source: str, why: str) -> str:
    return f"{source}; {why}"[:MAX_TEXT] if source else why[:MAX_TEXT]
