"""Failure policy: which failures Dagster may retry, and how they read in its UI.

Belongs here: turning the platform's typed errors into `dg.Failure`. Does not belong here: the errors themselves.

Each kind of failure has its own patience, and no two multiply. A request to the exchange is repeated by its client and
then is final. A statement to ClickHouse is repeated by the connection within seconds; a warehouse that stays away
longer fails the step, and only that is repeated here, by the step's retry policy. Everything else (rejected requests,
changed payloads, broken contracts, bugs) cannot heal by repetition and fails at once; run retries in `dagster.yaml`
cover only processes that died.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from hl_assets.exchange.errors import ExchangeError
from hl_assets.exchange.rate_limit import RateLimitStateError
from hl_assets.warehouse.errors import WarehouseError, WarehouseUnavailableError

RETRY_WAREHOUSE = dg.RetryPolicy(
    max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""The retry policy of every asset; only failures raised with `allow_retries` reach it."""


@contextmanager
def classified_failures() -> Iterator[None]:
    """Run a step; what it raises leaves as a `dg.Failure` that says whether repeating can help.

    Raises:
        dg.Failure: For every error of the body, with the cause kept.
    """
    try:
        yield
    except dg.Failure:
        raise
    except WarehouseUnavailableError as error:
        raise dg.Failure(description=str(error), allow_retries=True) from error
    except (ExchangeError, RateLimitStateError, WarehouseError) as error:
        raise dg.Failure(
            description=str(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from error
    except Exception as error:
        raise dg.Failure(
            description=f"{type(error).__name__}: {error}",
            metadata={"error": type(error).__name__, "kind": "unexpected: please report"},
            allow_retries=False,
        ) from error
