"""A reader that turns the bytes of a request or a file into plain data.

A document may be hostile. Its text must be UTF-8, and its depth is limited, since later code walks it recursively.
"""

from collections.abc import Callable

from service.documents.json import load_json
from service.documents.yaml import load_yaml
from service.errors import DocumentInvalid

_LOADERS: dict[str, Callable[[str], object]] = {
    "application/json": load_json,
    "application/yaml": load_yaml,
    "application/x-yaml": load_yaml,
    "text/yaml": load_yaml,
}
MEDIA_TYPES = tuple(_LOADERS)


def read_document(body: bytes, media_type: str) -> object:
    """Read a document of one of `MEDIA_TYPES`.

    Raises:
        DocumentInvalid: The document is not UTF-8 or not well-formed; the error says where.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"the document must be UTF-8 text; byte {error.start} is not") from None
    return _LOADERS[media_type](text)
