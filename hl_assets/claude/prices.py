"""What calls cost: prices per model, and how many tokens a text may have.

Belongs here: the one price table and the arithmetic on it. Spending belongs in `budget`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PER_TOKEN = 1e-6
_CACHE_READ = 0.1
_CACHE_WRITE = 1.25

_PIECES = re.compile(
    r"(?P<letters>[A-Za-z]+)|(?P<digits>[0-9]+)|(?P<space>\s+)|(?P<ascii>[\x21-\x7e])|(?P<other>.)"
)


class UnknownPriceError(ValueError):
    """A model without a price; the message says how to set one."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens of one model.

    Attributes:
        input: tokens read that are in no cache.
        output: tokens written.
        cache_read: prompt tokens read from the service's cache.
        cache_write: prompt tokens written to it, kept for five minutes.
        batch_discount: what a batch pays of all that.
    """

    input: float
    output: float
    cache_read: float
    cache_write: float
    batch_discount: float = 0.5

    def __post_init__(self) -> None:
        for name in ("input", "output", "cache_read", "cache_write", "batch_discount"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"price {name} must be a number of at least 0, got {value}")

    @classmethod
    def of(cls, input_usd: float, output_usd: float) -> "Price":
        """A price whose cache follows the vendor's usual multiples: reads at 0.1, writes at 1.25 of the input's.

        See https://platform.claude.com/docs/en/about-claude/pricing.
        """
        return cls(
            input=input_usd,
            output=output_usd,
            cache_read=input_usd * _CACHE_READ,
            cache_write=input_usd * _CACHE_WRITE,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the service counts them.

    Attributes:
        input_tokens: read, and in no cache.
        output_tokens: written, thinking included.
        cache_read_tokens: read from the cache; not part of `input_tokens`.
        cache_write_tokens: written to the cache; not part of `input_tokens`.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price.of(0.10, 0.50),  # prompts up to 100,000 tokens; ours are far below
    "claude-haiku-4-5": Price.of(1.0, 5.0),
    "claude-sonnet-5-5": Price.of(2.0, 10.0),
    "claude-opus-5-5": Price.of(4.0, 20.0),
}
"""The vendor's public prices, which it may change: the setting of a price overrides them."""

_DATED = re.compile(r"-\d{8}$")


def price_of(model: str, overrides: Mapping[str, Price] | None = None) -> Price:
    """The price of a model, the overrides' before the table's; a dated name costs what its undated one does.

    Raises:
        UnknownPriceError: no price is known, so no budget could hold.
    """
    known = {**PRICES, **(overrides or {})}
    for name in (model, _DATED.sub("", model)):
        if name in known:
            return known[name]
    raise UnknownPriceError(
        f"no price is known for model {model!r}: set GRADER_PRICE to its USD per million tokens, "
        f"or choose one of {', '.join(sorted(known))}"
    )


def usd(price: Price, usage: Usage, *, batch: bool = False) -> float:
    """What an answer costs, in USD."""
    full = _PER_TOKEN * (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_read_tokens * price.cache_read
        + usage.cache_write_tokens * price.cache_write
    )
    return full * price.batch_discount if batch else full


def worst_case_usd(price: Price, *, input_tokens: int, max_tokens: int, batch: bool = False) -> float:
    """The most a call can cost: every token read at the dearest rate, and an answer as long as it may be."""
    dearest = max(price.input, price.cache_read, price.cache_write)
    full = _PER_TOKEN * (input_tokens * dearest + max_tokens * price.output)
    return full * price.batch_discount if batch else full


def estimate_tokens(text: str) -> int:
    """How many tokens a text has at most, without the model's tokenizer, which is not public.

    Three letters, two digits or one other sign to a token, blanks with the word that follows, line breaks and runs of
    blanks for themselves, and one token per byte beyond ASCII. English prose has four to five letters to a token and JSON
    numbers two to three digits, so this overestimates prose by a third to a half and JSON by less, on purpose: a budget
    must hold. Never below a third of the text's bytes.
    """
    tokens = 0
    for piece in _PIECES.finditer(text):
        length = len(piece.group())
        match piece.lastgroup:
            case "letters":
                tokens += math.ceil(length / 3)
            case "digits":
                tokens += math.ceil(length / 2)
            case "space":
                tokens += 0 if piece.group() == " " else math.ceil(length / 4)
            case "ascii":
                tokens += 1
            case _:
                tokens += len(piece.group().encode("utf-8", "surrogatepass"))
    return max(tokens, math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3))
