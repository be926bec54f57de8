"""The contract between those who produce results (simulation, live execution) and those who read them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.plain import plain_fields

if TYPE_CHECKING:
    import pandas


@dataclass(slots=True)
class Records:
    """Flat rows of one run; which executor made them is only a label.

    Attributes:
        origin: ``simulated`` or ``measured``.
        requests, activities, states: rows in order of their beginning.
    """

    origin: str
    requests: list[RequestRow] = field(default_factory=list)
    activities: list[ActivityRow] = field(default_factory=list)
    states: list[StateRow] = field(default_factory=list)

    def sort(self) -> Records:
        """Put every table into its order (time, then name) and return self."""
        self.requests.sort(key=lambda row: (row.arrival_s, row.request))
        self.activities.sort(key=lambda row: (row.start_s, row.instance, row.request, row.kind))
        self.states.sort(key=lambda row: (row.time_s, row.resource))
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times that were never reached become ``None``."""
        return {
            "origin": self.origin,
            "requests": [plain_fields(row) for row in self.requests],
            "activities": [plain_fields(row) for row in self.activities],
            "states": [plain_fields(row) for row in self.states],
        }

    def to_frame(self, table: str = "requests") -> pandas.DataFrame:
        """One table (``requests``, ``activities`` or ``states``) as a pandas frame, a column per field."""
        import pandas

        from mmpredict.results.columns import ROW_TYPES, columns

        names = [column.name for column in columns(ROW_TYPES[table])]
        return pandas.DataFrame([asdict(row) for row in getattr(self, table)], columns=names)
