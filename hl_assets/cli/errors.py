"""Errors that a person at a terminal meets, as one message instead of a traceback.

Belongs here: the command line's own error and the list of typed errors that carry their own advice. Everything else is
a bug and keeps its traceback.
"""


class CommandError(Exception):
    """A command that cannot be carried out; the message says why and what to do."""


def known_errors() -> tuple[type[Exception], ...]:
    """The typed errors of the platform whose messages are written for people."""
    from hl_assets.claude.client import ApiKeyError  # noqa: PLC0415
    from hl_assets.claude.prices import UnknownPriceError  # noqa: PLC0415
    from hl_assets.exchange.addresses import InvalidAddressError  # noqa: PLC0415
    from hl_assets.exchange.errors import ExchangeError  # noqa: PLC0415
    from hl_assets.exchange.sandbox.errors import SandboxError  # noqa: PLC0415
    from hl_assets.interchange.errors import InterchangeError  # noqa: PLC0415
    from hl_assets.schemas.contract import ContractError  # noqa: PLC0415
    from hl_assets.scoring.config import ScoringConfigError  # noqa: PLC0415
    from hl_assets.scoring.entities import EntityFilterError  # noqa: PLC0415
    from hl_assets.settings import SecretFileError  # noqa: PLC0415
    from hl_assets.slots import SlotError  # noqa: PLC0415
    from hl_assets.warehouse.errors import WarehouseError  # noqa: PLC0415

    return (
        ApiKeyError,
        ContractError,
        EntityFilterError,
        ExchangeError,
        InvalidAddressError,
        SandboxError,
        InterchangeError,
        ScoringConfigError,
        SecretFileError,
        SlotError,
        UnknownPriceError,
        WarehouseError,
    )
