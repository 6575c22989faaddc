"""Fixtures of the pipeline's tests, so that exports hold what the real job publishes."""

from hl_assets_tests.pipeline.conftest import exchange_server, first_tick, instance, platform, ticked

__all__ = ["exchange_server", "first_tick", "instance", "platform", "ticked"]
