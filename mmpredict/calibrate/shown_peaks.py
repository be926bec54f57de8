"""What a processor must be capable of, by the runs on it: for machines whose data sheet is not known."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.calibrate.rates_fit import terms_of
from mmpredict.calibrate.speed_row import SpeedRow
from mmpredict.cost.rates.datasheet import Peaks, achieved_peaks
from mmpredict.errors import InputError


def shown_peaks(rows: Sequence[SpeedRow]) -> Peaks:
    """Peaks of the processor that ran the rows.

    The fastest run shows at least how much is read and computed per second: the bytes and operations of its work by its time.

    Raises:
        InputError: there are no runs of both prompts and generation, without which one of the two stays unknown.
    """
    achieved = {"bandwidth": 0.0, "compute": 0.0}
    for row in rows:
        part = "bandwidth" if row.phase == "decode" else "compute"
        try:
            amount = sum(term.amount for term in terms_of(row) if part in term.powers)
        except InputError:  # counted by the fit
            continue
        achieved[part] = max(achieved[part], amount / row.seconds)
    if not all(achieved.values()):
        raise InputError("runs of prompts and of generation are both needed")
    return achieved_peaks(achieved["bandwidth"], achieved["compute"], rows[0].processor, rows[0].backend)
