"""What a call asks, before anything is sent.

Belongs here: a question and the most its answer can cost. Sending it belongs in `asking` and `batches`.
"""

from dataclasses import dataclass

from hl_assets.claude.prices import Price, worst_case_usd
from hl_assets.claude.profile import GraderProfile
from hl_assets.grading.canonical import canonical_input, input_hash
from hl_assets.grading.interface import GradeInput


@dataclass(frozen=True, slots=True)
class Question:
    """What a call asks: one input, once; all there is to say about a call before it is made.

    Attributes:
        model: the model asked.
        effort: the effort asked.
        prompt_version: of the prompt files.
        prompt_hash: SHA-256 of the prompt text.
        schema_hash: SHA-256 of the answer's JSON schema.
        row_id: of the input.
        grade_key: SHA-256 of what decides the answer.
        input_hash: SHA-256 of the bucketed input.
        canonical: the exact text the model is given.
        attempt: 1, or 2 with twice the tokens after a truncated answer.
        max_tokens: the most tokens the answer may have.
    """

    model: str
    effort: str
    prompt_version: str
    prompt_hash: str
    schema_hash: str
    row_id: str
    grade_key: str
    input_hash: str
    canonical: str
    attempt: int
    max_tokens: int


def question_of(profile: GraderProfile, item: GradeInput, attempt: int = 1) -> Question:
    """The question an input is."""
    return Question(
        model=profile.model,
        effort=profile.effort,
        prompt_version=profile.prompt.version,
        prompt_hash=profile.prompt.sha256,
        schema_hash=profile.schema_hash,
        row_id=item.row_id,
        grade_key=profile.grade_key(item),
        input_hash=input_hash(item),
        canonical=canonical_input(item),
        attempt=attempt,
        max_tokens=profile.max_tokens_of(attempt),
    )


def worst_case(profile: GraderProfile, question: Question, price: Price, *, batch: bool = False) -> float:
    """The most the call can cost, in USD."""
    tokens = profile.input_tokens_estimate(question.canonical)
    return worst_case_usd(price, input_tokens=tokens, max_tokens=question.max_tokens, batch=batch)
