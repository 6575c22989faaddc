"""`hl-assets sandbox`: the local exchange in the foreground.

Belongs here: settings to a sandbox configuration, and what is said when it listens. Does not belong here: the exchange
(`hl_assets.exchange.sandbox`).
"""

import sys
from pathlib import Path

from hl_assets.cli.logs import log_to_stderr
from hl_assets.exchange.sandbox import ClockSetting, SandboxConfig, run_sandbox
from hl_assets.settings import Settings

READY_PREFIX = "Local exchange: "
"""Start of the first line printed, before the address; whoever starts it as a process waits for that line."""


def serve_sandbox(
    values: dict[str, object],
    *,
    recording: Path | None,
    port: int | None,
    clock: str | None,
    weight_per_minute: int,
    host: str,
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    HL_ASSETS_RECORDING plays no part: it belongs to the recorded source, and a sandbox that is asked for simulated
    wallets must not serve real ones.
    """
    settings = Settings.load(**values)
    log_to_stderr(settings, own_level="warning")  # whoever starts it as a process may not read what it says
    config = SandboxConfig(
        recording=recording,
        wallets=settings.sandbox_wallets,
        seed=settings.sandbox_seed,
        clock=None if clock is None else ClockSetting.parse(clock),
        weight_limit=weight_per_minute,
    )

    def announce(url: str) -> None:
        lines = [
            f"{READY_PREFIX}{url}",
            f"  serves    {_what(settings, recording)}, {weight_per_minute:,} weight a minute",
            f"  use it    HYPERLIQUID_INFO_URL={url} HYPERLIQUID_STATS_URL={url}/Mainnet",
            f"  control   {url}/sandbox/clock, /sandbox/faults, /sandbox/stats, /sandbox/truth",
            "  stop      Ctrl-C",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    run_sandbox(config, host=host, port=settings.sandbox_port if port is None else port, on_ready=announce)


def _what(settings: Settings, recording: Path | None) -> str:
    if recording is not None:
        return f"the recording {recording}"
    return f"{settings.sandbox_wallets:,} simulated wallets, seed {settings.sandbox_seed}"
