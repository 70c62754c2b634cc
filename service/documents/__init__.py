"""Safe reading of the documents that users send, JSON or YAML, into plain data."""

from service.documents.formats import MEDIA_TYPES as MEDIA_TYPES
from service.documents.formats import read_document as read_document
from service.documents.yaml import load_yaml as load_yaml
