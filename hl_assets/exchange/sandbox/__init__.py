"""A local exchange: an HTTP server that behaves like Hyperliquid's public data API, for demonstration and tests.

It is an implementation of the exchange's side of its own and knows nothing of this project's client. Accounts come from
a simulated population with known skill or from a recorded panel; time is virtual; faults can be switched on.
"""

from hl_assets.exchange.sandbox.clock import ClockSetting
from hl_assets.exchange.sandbox.config import SandboxConfig
from hl_assets.exchange.sandbox.errors import RecordingError, SandboxConfigError, SandboxError
from hl_assets.exchange.sandbox.faults import FaultRule
from hl_assets.exchange.sandbox.server import create_app
from hl_assets.exchange.sandbox.serving import SandboxServer, run_sandbox

__all__ = [
    "ClockSetting",
    "FaultRule",
    "RecordingError",
    "SandboxConfig",
    "SandboxConfigError",
    "SandboxError",
    "SandboxServer",
    "create_app",
    "run_sandbox",
]
