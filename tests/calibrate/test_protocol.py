"""What a calibration measures, by the name of its protocol."""

from __future__ import annotations

import pytest

from mmpredict.calibrate.protocol import Protocol, thread_counts
from mmpredict.errors import InputError, UnknownNameError


def test_protocols_refuse_types_that_cannot_be_measured() -> None:
    with pytest.raises(InputError, match=r"'iq2_xs' cannot be measured; allowed: .*f16, "):
        Protocol.named("quick", ("q8_0", "iq2_xs"))
    assert Protocol.named("quick", ("q4_k",)).shape_types == ("q4_k",)


def test_protocols_have_names() -> None:
    quick, full, contention = (Protocol.named(name) for name in ("quick", "full", "contention"))
    assert quick == Protocol() and not quick.company_only
    assert set(quick.weight_types) < set(full.weight_types) and full.most_rounds > full.rounds
    assert contention.company_only and contention.spinning_episodes > quick.spinning_episodes
    with pytest.raises(UnknownNameError, match="quick"):
        Protocol.named("quik")


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (6, (1, 2, 3, 4, 6)), (24, (1, 2, 3, 4, 8, 16, 24))]
)
def test_numbers_of_threads_to_measure(cores: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(cores) == counts
