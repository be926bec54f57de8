"""Relatives that are fitted together: machines and power modes of one class of processor with one backend.

Each parameter is what the family has in common plus what is a member's own::

    log p_member = common + own_member,      own_member ~ N(0, how far relatives differ)

so that a mode with a dozen rows borrows from the others, and a machine without any has the common part. The common part is in the
reference units of ``cost.rates.relative``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmpredict.calibrate.price_fit import Fitted
from mmpredict.cost.rates.datasheet import Peaks
from mmpredict.cost.rates.parameters import Belief, ProcessorClass, beliefs
from mmpredict.cost.rates.rates import Rate
from mmpredict.cost.rates.relative import own_spread, reference_factor
from mmpredict.cost.rates.term import Term
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES


@dataclass(frozen=True, slots=True)
class Member:
    """One machine in one power mode.

    Attributes:
        machine, mode: hardware profile and its power mode.
        peaks: of its data sheet.
    """

    machine: str
    mode: str
    peaks: Peaks

    @property
    def name(self) -> str:
        """As ``find_profile`` takes it."""
        return f"{self.machine}:{self.mode}" if self.mode else self.machine


class Family:
    """Parameters of all members together.

    Args:
        processor: class of processor.
        members: at least one; a single one has nothing of its own.
        known: what is believed of the common part already, instead of what is usual for the class.
        backend: programming interface.

    Attributes:
        beliefs: every parameter, common or a member's own → what is believed of it before any measurement.
    """

    def __init__(
        self, processor: ProcessorClass, members: Sequence[Member], known: Mapping[str, Belief] | None = None, backend: str = ""
    ) -> None:
        usual = beliefs(processor, WEIGHT_TYPES, *_shares(members), backend)
        self._common = {name: (known or {}).get(name, belief) for name, belief in usual.items()}
        self.beliefs = dict(self._common)
        for member in members if len(members) > 1 else ():
            for name in usual:
                if spread := own_spread(name):
                    self.beliefs[_own(name, member)] = Belief(0.0, spread)

    def terms(self, terms: Iterable[Term], member: Member) -> list[Term]:
        """Terms of a member's row in parameters of the family."""
        return [self._term(term, member) for term in terms]

    def _term(self, term: Term, member: Member) -> Term:
        amount, powers = term.amount, dict(term.powers)
        for name, power in term.powers.items():
            amount *= reference_factor(name, member.peaks) ** power
            if (own := _own(name, member)) in self.beliefs:
                powers[own] = power
        return Term(amount, powers)

    def rates(self, names: Sequence[str], fitted: Fitted, member: Member | None = None) -> dict[str, Rate]:
        """Parameters of a member in its own units; without a member, the common part in reference units."""
        index = {name: position for position, name in enumerate(names)}
        found = {}
        for name in self._common:
            parts = [index[name]]
            log = float(fitted.logs[index[name]])
            if member is not None:
                own = index.get(_own(name, member))
                log += math.log(reference_factor(name, member.peaks))
                if own is not None:
                    parts.append(own)
                    log += float(fitted.logs[own])
            variance = sum(float(fitted.covariance[first, second]) for first in parts for second in parts)
            found[name] = Rate(log=round(log, 5), spread=round(math.sqrt(max(variance, 0.0)), 4))
        return found


def _own(name: str, member: Member) -> str:
    return f"{name}@{member.name}"


def _shares(members: Sequence[Member]) -> tuple[Belief, Belief]:
    """What the members let expect of bandwidth and compute, as shares of their data sheets."""
    read = [member.peaks.read.mean - math.log(member.peaks.bandwidth_bytes_per_s) for member in members]
    compute = [member.peaks.compute.mean - math.log(member.peaks.compute_flop_per_s) for member in members]
    first = members[0].peaks
    return Belief(sum(read) / len(read), first.read.spread), Belief(sum(compute) / len(compute), first.compute.spread)
