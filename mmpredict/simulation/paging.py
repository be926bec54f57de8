"""What it costs to use more memory than there is: the system moves pages between memory and a swap device, token by token.

Every pass through a model needs all of its pages. Of what does not fit, each resident server is taken to have a share in proportion
to its size, which is read from the device in every pass. That is a floor: pages that are dropped least recently used, in a model
that is read from end to end, are dropped just before they are needed; and pages that were written must be written out too.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.cost.prices import StepPrices
from mmpredict.results.columns import StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.site import Site


class PagedPrices(StepPrices):
    """Prices of a server part of which is swapped out.

    Args:
        own: prices with everything in memory.
    """

    def __init__(self, own: StepPrices) -> None:
        super().__init__(own.ubatch_tokens)
        self.begun_s, self.limits = own.begun_s, own.limits
        self.masked_decode_s, self.masked_batch_s = own.masked_decode_s, own.masked_batch_s
        self.decode_cell_s, self.batch_cell_s, self.rests = own.decode_cell_s, own.batch_cell_s, own.rests
        self._own = own
        self.page_s = 0.0
        """Page traffic of a pass [s]; a run of decode steps keeps what it began with until its company changes."""

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return self._own.piece_s(start, tokens)

    def decode_pass_s(self, sequences: int) -> float:
        """See ``StepPrices``."""
        return self._own.decode_pass_s(sequences) + self.page_s

    def batch_pass_s(self, tokens: int, sampled: int) -> float:
        """See ``StepPrices``."""
        return self._own.batch_pass_s(tokens, sampled) + self.page_s

    def _price_decode_pass(self, sequences: int) -> float:
        return self.decode_pass_s(sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self.batch_pass_s(tokens, sampled)


class Paging:
    """The swap device of a machine in one simulated run.

    Args:
        site: memories of the machine.
        records: where rows go.
    """

    def __init__(self, site: Site, records: Records) -> None:
        self._site = site
        self._records = records
        self._prices: dict[str, PagedPrices] = {}
        self._over_bytes = 0.0

    def prices(self, name: str, own: StepPrices) -> PagedPrices:
        """Prices of a server that may be swapped out in part."""
        found = self._prices[name] = PagedPrices(own)
        return found

    def settle(self, needs_bytes: Mapping[str, float], used_bytes: float, now_s: float) -> None:
        """The resident servers have changed: name → memory of each alone, and of all together [bytes]."""
        over = max(0.0, used_bytes - self._site.usable_bytes)
        for name, needs in needs_bytes.items():
            share = needs / sum(needs_bytes.values())
            self._prices[name].page_s = over * share / self._site.swap_bytes_per_s if over else 0.0
        if over != self._over_bytes:
            self._records.states.append(StateRow(now_s, "swapped", over, self._site.swap_bytes))
            self._over_bytes = over
