"""How often a client may ask: a token bucket per client, and who the client is.

Belongs here: both. Does not belong here: answering 429 (`middleware`).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_MOST_CLIENTS = 10_000
_MOST_HOPS = 20
_SUBSCRIBER_PREFIX = 64
"""An IPv6 subscriber has a /64: its addresses are one client."""
UNKNOWN = "unknown"


class TokenBuckets:
    """A bucket per client: `burst` tokens, refilled at `per_minute`. For one event loop.

    The clients that were quiet longest are forgotten when there are too many; a forgotten one has a full bucket again.

    Args:
        per_minute: Tokens a minute; 0 = no limit.
        burst: Size of a bucket.
        clock: Monotonic seconds.
        most_clients: Buckets kept.
    """

    def __init__(
        self,
        per_minute: int,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        most_clients: int = _MOST_CLIENTS,
    ) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._most = most_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> int:
        """Take a token; 0 if there was one, else the whole seconds until there is."""
        if not self._rate:
            return 0
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0 if tokens >= 1 else math.ceil((1 - tokens) / self._rate)
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas; an address is a network of one.

    Raises:
        ValueError: One is no network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_of(peer: str | None, forwarded_for: Iterable[str], proxies: Sequence[Network]) -> str:
    """Who asks: the peer, or the client that a trusted proxy names.

    Every proxy appends whom it heard from, so the chain is read from its end, and the first address that is no trusted
    proxy is the client. What stands before it the client may have made up.

    Args:
        peer: Address of the connection.
        forwarded_for: Values of `X-Forwarded-For`, in order.
        proxies: Proxies whose word is taken.
    """
    if peer is None:
        return UNKNOWN
    if not _within(peer, proxies):
        return _client_name(peer)
    chain = [part.strip() for value in forwarded_for for part in value.split(",")][-_MOST_HOPS:]
    client = peer
    for hop in reversed(chain):
        if _address(hop) is None:
            break
        client = hop
        if not _within(hop, proxies):
            break
    return _client_name(client)


def _address(text: str) -> object:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(text: str, networks: Sequence[Network]) -> bool:
    if not networks:
        return False
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _client_name(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        bare = IPv6Address(int(address))  # without the zone of a link-local address
        return str(IPv6Network((bare, _SUBSCRIBER_PREFIX), strict=False))
    return str(address)
