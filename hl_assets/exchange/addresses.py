"""Wallet addresses: the one spelling the platform uses, and the addresses that are no traders.

Belongs here: validation and normalisation of an address's text. Does not belong here: what kind of account an address is
(vault, agent, sub-account): only the exchange knows that.
"""

import re

from hl_assets.exchange.errors import excerpt

ADDRESS_PATTERN = r"^0x[0-9a-fA-F]{40}\Z"
"""An address as the exchange sends it; the casing of EIP-55 is accepted, its checksum is not verified."""

_ADDRESS = re.compile(ADDRESS_PATTERN)
_TOKEN_SYSTEM_ADDRESS = re.compile(r"^0x20[0]{30}[0-9a-f]{8}\Z")
_SYSTEM_ADDRESSES = frozenset({"0x" + "f" * 40, "0x" + "2" * 40})


class InvalidAddressError(ValueError):
    """A text that is no address. `text` is what was given, cut to a safe length and escaped to ASCII."""

    def __init__(self, text: object) -> None:
        self.text = excerpt(text)
        super().__init__(text)

    def __str__(self) -> str:
        return f"not a wallet address: {self.text}; give 0x followed by 40 hexadecimal digits, without spaces"

    def __reduce__(self) -> tuple[type["InvalidAddressError"], tuple[object]]:
        return type(self), (self.args[0],)


def normalize_address(text: str) -> str:
    """Returns the address in lower case, the spelling of every table and request.

    Raises:
        InvalidAddressError: `text` is not `0x` and 40 hexadecimal digits, or not a string at all.
    """
    if not isinstance(text, str) or _ADDRESS.match(text) is None:
        raise InvalidAddressError(text)
    return text.lower()


def is_system_address(text: str) -> bool:
    """Whether the address belongs to the chain itself and therefore to no trader.

    These are `0xffff...ffff`, `0x2222...2222` (the HYPE bridge) and `0x20`, zeros, and a token's index in the last four
    bytes (the token bridges; USDC's stood on the leaderboard with ten billion dollars in February 2026).

    Source: Hyperliquid documentation, "HyperCore <> HyperEVM transfers" (system addresses).

    Raises:
        InvalidAddressError: `text` is no address.
    """
    address = normalize_address(text)
    return address in _SYSTEM_ADDRESSES or _TOKEN_SYSTEM_ADDRESS.match(address) is not None
