"""Finishing what was begun, even when cancelled.

Belongs here: that one helper. What must be finished is for its callers to say.
"""

import asyncio
from collections.abc import Awaitable


async def finished(work: Awaitable[None]) -> None:
    """Await to the end even when cancelled: what was paid for is recorded before the cancellation goes on.

    Raises:
        Exception: whatever the work raises.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            await task
        raise
