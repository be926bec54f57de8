"""One real run of a plan, with all that is needed to predict it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mmpredict.errors import FileFormatError
from mmpredict.results.columns import NAN, ROW_TYPES
from mmpredict.results.records import Records
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
            records=records_from(data["records"]),
            turn=int(data["turn"]),
            cold=bool(data["cold"]),
            base=str(data["base"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"this is no run of a plan: {type(error).__name__} {error}") from error


def records_from(data: Mapping[str, Any]) -> Records:
    """The records that ``Records.to_dict`` made of them.

    Raises:
        ValueError, KeyError, TypeError: they are none.
    """
    from pydantic import TypeAdapter

    tables = {
        name: TypeAdapter(list[kind]).validate_python(_with_nan(data[name]))  # type: ignore[valid-type]
        for name, kind in ROW_TYPES.items()
    }
    return Records(str(data["origin"]), **tables)


def _changed(request: Request) -> dict[str, Any]:
    """Fields of a request that are not at their default: most are."""
    return {one.name: value for one in fields(request) if (value := getattr(request, one.name)) != one.default}


def _with_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: NAN if value is None else value for name, value in row.items()} for row in rows]
