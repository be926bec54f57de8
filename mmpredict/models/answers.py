"""The forms of servers' answers: what is looked at, and within which bounds it is believed.

Sources: Ollama ``api/types.go``; llama.cpp ``tools/server/server-context.cpp``.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmpredict.errors import InputError
from mmpredict.models.gguf.header import MAX_DIMENSIONS, MAX_TENSORS, MAX_WEIGHTS

MAX_KEYS = 4096
MAX_MODELS = 4096
MAX_TOKENS, MAX_SLOTS, MAX_VOCABULARY, MAX_WIDTH = 2**27, 4096, 2**26, 2**20

Short = Annotated[str, Field(max_length=4096)]
Word = Annotated[str, Field(max_length=256)]
Extent = Annotated[int, Field(ge=1, le=MAX_WEIGHTS, strict=True)]


class Answer(BaseModel):
    """What is not asked for is ignored: servers add fields with every version."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ShownTensor(Answer):
    name: Annotated[str, Field(min_length=1, max_length=1024)]
    type: Annotated[str, Field(max_length=16)]
    shape: Annotated[list[Extent], Field(min_length=1, max_length=MAX_DIMENSIONS)]


class Details(Answer):
    format: Word = ""
    family: Word = ""
    parameter_size: Word = ""
    quantization_level: Word = ""


class Show(Answer):
    details: Details = Details()
    model_info: Annotated[dict[str, Any], Field(max_length=MAX_KEYS)] = Field(default_factory=dict)
    tensors: Annotated[list[ShownTensor], Field(max_length=MAX_TENSORS)] | None = None
    remote_host: Short = ""


class Settings(Answer):
    n_ctx: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 0


class Props(Answer):
    role: Word = ""
    model_path: Short = ""
    model_alias: Short = ""
    model_ftype: Word = ""
    build_info: Word = ""
    total_slots: Annotated[int, Field(ge=1, le=MAX_SLOTS)] = 1
    default_generation_settings: Settings = Settings()


class Meta(Answer):
    n_vocab: Annotated[int, Field(ge=0, le=MAX_VOCABULARY)] = 0
    n_embd: Annotated[int, Field(ge=0, le=MAX_WIDTH)] = 0
    n_params: Annotated[int, Field(ge=0, le=MAX_WEIGHTS)] = 0
    size: Annotated[int, Field(ge=0, le=MAX_WEIGHTS)] = 0
    ftype: Word = ""


class ListedModel(Answer):
    id: Short = ""
    meta: Meta | None = None


class Models(Answer):
    data: Annotated[list[ListedModel], Field(max_length=MAX_MODELS)] = Field(default_factory=list)


class Version(Answer):
    version: Word = ""


class Process(Answer):
    name: Short = ""
    model: Short = ""
    size: Annotated[int, Field(ge=0, le=MAX_WEIGHTS)] = 0
    size_vram: Annotated[int, Field(ge=0, le=MAX_WEIGHTS)] = 0
    context_length: Annotated[int, Field(ge=0, le=MAX_TOKENS)] = 0
    expires_at: Word = ""


class Processes(Answer):
    models: Annotated[list[Process], Field(max_length=MAX_MODELS)] = Field(default_factory=list)


class Tag(Answer):
    name: Short = ""
    model: Short = ""
    digest: Word = ""
    size: Annotated[int, Field(ge=0, le=MAX_WEIGHTS)] = 0
    details: Details = Details()


class ListedTags(Answer):
    models: Annotated[list[Tag], Field(max_length=MAX_MODELS)] = Field(default_factory=list)


Form = TypeVar("Form", bound=Answer)


def parsed(form: type[Form], answer: object, where: str) -> Form:
    """An answer in its form.

    Args:
        form: what is expected.
        answer: the parsed JSON.
        where: what it answers, for complaints.

    Raises:
        InputError: it has another form; the message names the first value that is wrong.
    """
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "answer"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"{where} cannot be used: {place:.200}: {first['msg']:.200}{more}") from None
