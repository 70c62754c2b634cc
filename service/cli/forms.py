"""The form of the API's answers. It is checked before a command uses an answer: the API may have another version."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import TetError
from service.identity import own_version

# An answer of the API as received, for `--json`. Code that depends on an answer reads it with `as_model` first.
Json = dict[str, Any]
# Keys of an answer, with their types.
Form = Mapping[str, type]
Model = TypeVar("Model", bound=BaseModel)


def in_form(answer: object, form: Form, place: str) -> Json:
    """Return an answer if it is a JSON object that has the keys of `form` with their types.

    Raises:
        TetError: The answer has another form.
    """
    if not isinstance(answer, dict):
        raise unknown_form(f"{place}: a JSON object is expected, not {type(answer).__name__}")
    for key, kind in form.items():
        if not isinstance(answer.get(key), kind):
            raise unknown_form(f"{place}: {key} must be of type {kind.__name__}")
    return answer


def unknown_form(what: str) -> TetError:
    """Return the error of an answer in another form; `what` names the place and what is expected there."""
    return TetError(
        f"the API answered in a form that this `tet`, version {own_version()}, does not know ({what}): "
        "install the same version of `tet` and of the service"
    )


def as_model(model: type[Model], answer: Json) -> Model:
    """Return an answer of the API as a model.

    Raises:
        TetError: The answer has another form, for example because the service has another version.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise unknown_form(f"{place}: {first['msg']}") from None
