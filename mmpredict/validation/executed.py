"""One real run of a plan, with all that is needed to predict it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mmpredict.errors import FileFormatError
from mmpredict.results.records import Records
from mmpredict.results.saved_rows import Field, read_records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.serving import StagesServing
from mmpredict.workload.request import Request, Workload


@dataclass(frozen=True, slots=True)
class Executed:
    """A run.

    Attributes:
        plan: what was run; its servers are not loaded on demand.
        workload: what was asked.
        models: name of a model in the plan → the name by which it can be described again.
        records: what was measured.
        turn: in which round, from 0 [1].
        cold: whether model files were read from storage at first.
        base: directory from which relative names of models are meant; empty for none.
    """

    plan: Plan
    workload: Workload
    models: Mapping[str, str]
    records: Records
    turn: int = 0
    cold: bool = False
    base: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plan = self.plan.to_dict() | {"serving": self.plan.serving.rules}
        return {
            "turn": self.turn,
            "cold": self.cold,
            "base": self.base,
            "plan": plan,
            "models": dict(self.models),
            "workload": [_changed(request) for request in self.workload.requests],
            "records": self.records.to_dict(),
        }


def executed_from(data: Mapping[str, Any]) -> Executed:
    """The run that ``to_dict`` made of it.

    Raises:
        FileFormatError: it is none, or servers of its plan were loaded on demand.
        InputError: a value is out of range.
    """
    from pydantic import TypeAdapter

    try:
        plan = data["plan"]
        if plan["serving"] != StagesServing().rules:
            raise FileFormatError(f"a run of servers by the rules of {plan['serving']} cannot be predicted again")
        return Executed(
            plan=Plan(
                str(plan["strategy"]),
                TypeAdapter(tuple[InstancePlan, ...]).validate_python(plan["instances"]),
                TypeAdapter(tuple[Stage, ...]).validate_python(plan["stages"]),
            ),
            workload=Workload(TypeAdapter(tuple[Request, ...]).validate_python(data["workload"])),
            models=TypeAdapter(dict[str, str]).validate_python(data["models"]),
            records=read_records(Field(data["records"], "a run", "records")),
            turn=int(data["turn"]),
            cold=bool(data["cold"]),
            base=str(data["base"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"this is no run of a plan: {type(error).__name__} {error}") from error


def _changed(request: Request) -> dict[str, Any]:
    """Fields of a request that are not at their default: most are."""
    return {one.name: value for one in fields(request) if (value := getattr(request, one.name)) != one.default}
