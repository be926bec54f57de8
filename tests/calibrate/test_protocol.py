"""What a calibration measures, by the name of its protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict.calibrate.measuring import Measuring, short_name
from mmpredict.calibrate.protocol import LARGE, Protocol, thread_counts
from mmpredict.calibrate.tasks import round_tasks
from mmpredict.errors import InputError, UnknownNameError
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.models.synthetic import synthetic_spec


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


def test_models_of_earlier_rounds_are_not_measured_where_the_protocol_lacks_them() -> None:
    """Rounds are added to (``--add``): what is known of models that an earlier calibration had is not theirs."""
    protocol, earlier = Protocol.named("quick", ("q8_0",)), Protocol()
    specs = {name: synthetic_spec(name) for name in (*protocol.models, *earlier.models)}
    measuring = Measuring(protocol, 2, dict.fromkeys(protocol.models, Path()), Path(), EmbeddedServer.start)
    labels = [task.label for task in round_tasks(measuring, specs)]
    others = {short_name(name) for name in set(earlier.models) - set(protocol.models)}
    assert any(LARGE in name for name in others)
    assert not [label for label in labels if any(name in label for name in others)]
    assert sum("cold load" in label for label in labels) == 3, "of the pair and the large one"
