"""What the work at hand is about: said by every line of a log and by every statement to ClickHouse.

Belongs here: keeping it beside the flow of control, across threads and tasks. Does not belong here: where it is said (`logs`,
`Warehouse.with_comment`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Fields = Mapping[str, str]

_about: ContextVar[Callable[[], Fields]] = ContextVar("hl_assets_about", default=dict)


def about() -> dict[str, str]:
    """What the work at hand is about, e.g. `request_id` and `route`; empty if nobody said."""
    return dict(_about.get()())


@contextmanager
def working_on(fields: Callable[[], Fields]) -> Iterator[None]:
    """Say what the work inside the block is about.

    Args:
        fields: Called whenever somebody wants to know: a request's route is known only once it is found.
    """
    token = _about.set(fields)
    try:
        yield
    finally:
        _about.reset(token)
