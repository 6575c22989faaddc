"""What is kept about a batch, so that a process that dies with one under way loses nothing.

Belongs here: the records and the protocols of their keepers. Running batches belongs in `batches`, storing the records to the
caller.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from hl_assets.claude.calls import GradeCall
from hl_assets.claude.question import Question
from hl_assets.grading.interface import GradeInput

BatchStatus = Literal["intended", "submitted", "collected", "abandoned", "lost"]
"""How far a batch is.

`intended`: about to be submitted, perhaps submitted. `submitted`: the service has it. `collected`: every result is in the
ledger. `abandoned`: the service never got it. `lost`: the service does not have it, or its results, any more; its requests are
in the ledger as unavailable. The first two are open: hand them to `BatchRun.resume`.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchItem(_Frozen):
    """One request of a batch, with all that is needed to record its result.

    Attributes:
        custom_id: what the service calls the request.
        slot: the caller's; opaque here.
        wallet: the caller's; opaque here, and never sent.
        question: what is asked.
    """

    custom_id: str
    slot: str
    wallet: str
    question: Question

    @property
    def call_id(self) -> str:
        """Of the call this becomes: always the same, so a result is recorded once however often it is read."""
        return hashlib.sha256(self.custom_id.encode()).hexdigest()[:32]


class GradeBatch(_Frozen):
    """A batch from intent to collection; `model_dump_json` and `model_validate_json` store it.

    Attributes:
        intent_id: 32 hexadecimal digits, the first part of every custom id.
        batch_id: the service's; None until it has answered.
        status: how far it is.
        intended_at: before it was submitted.
        submitted_at: when the service took it.
        items: its requests.
    """

    intent_id: str
    batch_id: str | None
    status: BatchStatus
    intended_at: datetime
    submitted_at: datetime | None
    items: tuple[BatchItem, ...]

    @property
    def request_count(self) -> int:
        """Requests in it."""
        return len(self.items)

    @property
    def is_open(self) -> bool:
        """Whether there may be results to collect."""
        return self.status in ("intended", "submitted")


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One input to be asked about in a batch.

    Attributes:
        item: the input.
        slot: the caller's word for the slot.
        wallet: the caller's word for the wallet; never sent.
        attempt: from `reuse.next_attempt`.
    """

    item: GradeInput
    slot: str
    wallet: str
    attempt: int = 1


class BatchStore(Protocol):
    """Where batches are kept."""

    async def save(self, batch: GradeBatch) -> None:
        """Store a batch in place of its earlier states; when this returns, it survives the death of the process."""


class BatchLedger(Protocol):
    """Where the calls of batches are recorded."""

    async def record(self, call: GradeCall, item: BatchItem) -> None:
        """Store a call about the item's wallet and slot; when this returns, it survives the death of the process."""
