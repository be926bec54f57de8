"""What a suite's file holds: tests, the variants in which each is asked, and the criteria by which it passes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mmpredict.scenario import Scenario
from mmpredict.scenario.strict import Strict

CONTEXT_TOKENS = 4096
Whose = Literal["document", "ours"]


class CountVariant(Strict):
    """How many instances of one model fit.

    Attributes:
        name: unique within the test.
        model: what instances are of; each has one slot.
        context_tokens: of each instance [tokens].
    """

    kind: Literal["count"]
    name: str
    model: str
    context_tokens: int = CONTEXT_TOKENS


class FitsVariant(Strict):
    """Whether instances fit together.

    Attributes:
        name: unique within the test.
        models: model → instances, each with one slot.
        context_tokens: of each instance [tokens].
    """

    kind: Literal["fits"]
    name: str
    models: dict[str, Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1)
    context_tokens: int = CONTEXT_TOKENS


class MixVariant(Strict):
    """Which mix of models is best: most parameters, each model at most once.

    Attributes:
        name: unique within the test.
        models: what may be in it; each has one slot.
        context_tokens: of each instance [tokens].
    """

    kind: Literal["mix"]
    name: str
    models: tuple[str, ...] = Field(min_length=1)
    context_tokens: int = CONTEXT_TOKENS


def _scenario(value: Any) -> Any:
    """A scenario that names one way of running; its machine is the suite's."""
    found = Scenario.model_validate(value)
    if isinstance(value, dict) and "hardware" in value:
        raise ValueError("a scenario of a suite names no hardware; the suite does")
    if (plans := len(found.plans(1))) != 1:
        raise ValueError(f"a scenario of a suite has one strategy or one way of serving, this one has {plans}")
    return found


class RunVariant(Strict):
    """Requests to servers.

    Attributes:
        name: unique within the test.
        scenario: models, servers and requests; one strategy or one way of serving.
    """

    kind: Literal["run"]
    name: str
    scenario: Annotated[Scenario, BeforeValidator(_scenario)]


Variant = Annotated[CountVariant | FitsVariant | MixVariant | RunVariant, Field(discriminator="kind")]


class Criterion(Strict):
    """What a measure must be; exactly one bound.

    Attributes:
        variant: name of the variant that is measured.
        measure: name of a measure (``suite.measures``), ``count``, ``needed_bytes`` or ``remains_bytes``.
        at_most, at_least: bound, in the measure's unit.
        at_most_of: name of another variant, whose same measure is the bound.
        whose: whether the document states it, or it is added here.
    """

    variant: str
    measure: str
    at_most: float | None = None
    at_least: float | None = None
    at_most_of: str = ""
    whose: Whose = "document"

    @model_validator(mode="after")
    def _one_bound(self) -> Criterion:
        if (self.at_most is not None) + (self.at_least is not None) + bool(self.at_most_of) != 1:
            raise ValueError(f"criterion on {self.measure}: give one of at_most, at_least and at_most_of")
        return self


class SuiteTest(Strict):
    """One test.

    Attributes:
        id: short and unique.
        phase, title: where it stands in the document, and its name.
        asks: the question.
        stated: what the document expects.
        note: how it is imitated, and what is not; empty where nothing needs saying.
        variants: ways of asking.
        criteria: what makes it pass.
    """

    id: str
    phase: str
    title: str
    asks: str
    stated: str
    note: str = ""
    variants: tuple[Variant, ...] = Field(min_length=1)
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """A run that is ``like`` another one has its scenario, with some tables changed."""
        if not isinstance(data, dict) or not isinstance(data.get("variants"), list):
            return data
        scenarios: dict[str, dict[str, Any]] = {}
        variants = []
        for variant in data["variants"]:
            if isinstance(variant, dict) and isinstance(variant.get("scenario"), dict):
                other = variant.get("like", "")
                if other and other not in scenarios:
                    raise ValueError(f"variant {variant.get('name')!r} is like {other!r}, which is no run before it")
                scenario = {**scenarios.get(other, {}), **variant["scenario"]}
                scenarios[str(variant.get("name"))] = scenario
                variant = {key: value for key, value in variant.items() if key != "like"} | {"scenario": scenario}
            variants.append(variant)
        return {**data, "variants": variants}

    @model_validator(mode="after")
    def _names_match(self) -> SuiteTest:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError(f"test {self.id}: two variants have the same name")
        asked = {name for one in self.criteria for name in (one.variant, one.at_most_of) if name}
        if unknown := sorted(asked - set(names)):
            raise ValueError(f"test {self.id}: criteria name the variants {unknown}, there are {names}")
        return self


class Suite(Strict):
    """All tests of a document.

    Attributes:
        document: its title.
        hardware: machine that it is about.
        budget_bytes: memory for models that it assumes; None for what the machine's profile says [bytes].
        tests: in its order.
    """

    document: str
    hardware: str
    budget_bytes: float | None = Field(default=None, gt=0)
    tests: tuple[SuiteTest, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Suite:
        ids = [test.id for test in self.tests]
        if len(set(ids)) != len(ids):
            raise ValueError("two tests have the same id")
        return self
