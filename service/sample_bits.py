"""The bits of a trained stage: which test samples its network classifies correctly after the last epoch.

They lie in the stage folder, and the commit of the last epoch names their file.
"""

import base64
import json
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from service.storage import StageFolder

Bits = NDArray[np.bool_]


class SampleBits(BaseModel):
    """The file: one bit for each test sample, 1 if the network classifies the sample correctly.

    `bits` is base64 of the bits in the order of the test set, eight in a byte, the first in the highest place; the last
    byte is filled up with zeros.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_samples: int
    num_correct: int
    bits: str

    @classmethod
    def of(cls, is_correct: Bits) -> Self:
        """Return the record of `[N]` values."""
        bits = base64.b64encode(np.packbits(is_correct).tobytes()).decode()
        return cls(num_samples=len(is_correct), num_correct=int(is_correct.sum()), bits=bits)

    def unpacked(self) -> Bits:
        """Return the values, `[N]`.

        Raises:
            ValueError: If the bits do not have the recorded numbers; then the file is damaged.
        """
        packed = np.frombuffer(base64.b64decode(self.bits, validate=True), np.uint8)
        whole = len(packed) == -(-self.num_samples // 8)
        values = np.unpackbits(packed, count=self.num_samples).astype(np.bool_) if whole else np.empty(0, np.bool_)
        if not whole or int(values.sum()) != self.num_correct:
            raise ValueError(
                f"the bits of the test samples are damaged: they must be {self.num_samples}, of which "
                f"{self.num_correct} are 1; found {len(packed)} bytes with {int(np.unpackbits(packed).sum())}"
            )
        return values


@dataclass(frozen=True)
class StageBits:
    """The bits of a stage, and of what they are.

    Attributes:
        values: `[N]`, in the order of the test set.
        digest: The digest of the data set; None if it was not recorded.
    """

    values: Bits
    digest: str | None


def read_sample_bits(folder: StageFolder) -> StageBits | None:
    """Read the bits of a stage from storage.

    Returns:
        The bits; None if the newest commit names none: an epoch is missing, the stage is an analysis, or an earlier
        version trained its last epoch.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged.
    """
    committed = folder.committed()
    if not committed:
        return None
    commit = json.loads(folder.commit(committed[-1]).read_bytes())
    try:
        file, attempt = commit.get("sample_bits"), commit["attempt"]
    except (KeyError, AttributeError) as error:
        raise ValueError(f"a commit is damaged: {error!r}") from None
    if file is None:
        return None
    values = SampleBits.model_validate_json((folder.path / file).read_bytes()).unpacked()
    return StageBits(values, _digest(folder, attempt))


def _digest(folder: StageFolder, attempt: int) -> str | None:
    """Return the digest of the data set that an attempt has recorded; None if it is not known."""
    try:
        record = json.loads((folder.attempt(attempt) / "started.json").read_bytes())
    except FileNotFoundError:
        return None
    digest = record.get("dataset", {}).get("digest")
    return None if digest is None else str(digest)
