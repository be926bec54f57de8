"""The rows of a run while it goes on: kept in memory, and written to the journal where there is one."""

from __future__ import annotations

import threading

from mmpredict.live.journal import Journal
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records


class Recorder:
    """Takes rows from several threads.

    Args:
        plan: name of the plan that is run.
        journal: where else they go.

    Attributes:
        records: the rows so far.
    """

    def __init__(self, plan: str, journal: Journal | None = None) -> None:
        self.records = Records("measured")
        self._plan = plan
        self._journal = journal
        self._lock = threading.Lock()

    def add(self, row: RequestRow | ActivityRow | StateRow) -> None:
        """Keep a row that will not change any more.

        Raises:
            StorageError: the journal cannot be written.
        """
        with self._lock:
            if isinstance(row, RequestRow):
                self.records.requests.append(row)
            elif isinstance(row, ActivityRow):
                self.records.activities.append(row)
            else:
                self.records.states.append(row)
        if self._journal is not None:
            self._journal.add(self._plan, row)
