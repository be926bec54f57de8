"""A server part of which is swapped out has the prices of its own, and pages to read in every pass."""

from __future__ import annotations

import pytest
from test_server import RoundPrices

from mmpredict.results.records import Records
from mmpredict.simulation.paging import PagedPrices, Paging
from mmpredict.simulation.site import Site


def test_nothing_but_the_passes_is_dearer() -> None:
    own = RoundPrices()
    own.begun_s, own.masked_decode_s, own.masked_batch_s, own.limits = 0.5, 3e-7, 1e-7, (float("inf"),)
    own.decode_cell_s = own.batch_cell_s = (1e-6,)
    paged = PagedPrices(own)
    # every public attribute, so that a new price cannot be forgotten
    for name in (name for name in vars(own) if not name.startswith("_") and name not in ("pieces", "batches")):
        assert getattr(paged, name) == getattr(own, name), name
    paged.page_s = 2.0
    assert paged.decode_s([10, 20], 3) == pytest.approx(own.decode_s([10, 20], 3) + 3 * 2.0)
    assert paged.batch_pass_s(50, 1) == own.batch_pass_s(50, 1) + 2.0
    assert paged.piece_s(0, 50) == own.piece_s(0, 50)


def test_what_does_not_fit_is_read_by_each_in_proportion() -> None:
    records = Records("simulated")
    paging = Paging(Site(usable_bytes=8e9, swap_bytes=16e9, swap_bytes_per_s=1e9), records)
    small, large = paging.prices("small", RoundPrices()), paging.prices("large", RoundPrices())
    paging.settle({"small": 2e9, "large": 8e9}, 10e9, 5.0)
    assert (small.page_s, large.page_s) == pytest.approx((0.4, 1.6))
    paging.settle({"large": 8e9}, 8e9, 7.0)
    assert large.page_s == 0.0
    assert [(row.time_s, row.resource, row.used) for row in records.states] == [(5.0, "swapped", 2e9), (7.0, "swapped", 0.0)]
