"""`hl-assets serve`: the REST API in the foreground.

Belongs here: settings to a running API, its log, and what is said when it listens. Does not belong here: the API
(`hl_assets.api`).
"""

import logging
import signal
import sys
from dataclasses import replace

from hl_assets.api.app import create_app
from hl_assets.api.serving import ListenError, run_api
from hl_assets.cli.errors import CommandError
from hl_assets.cli.logs import log_to_stderr
from hl_assets.cli.tick import ProcessTickLauncher
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse

logger = logging.getLogger(__name__)

READY_PREFIX = "REST API        "
"""Start of the first line printed, before the address; whoever starts it as a process may wait for that line."""
_ATTEMPTS = 2
_CONNECT_SECONDS = 5


def run_serve(values: dict[str, object], host: str, port: int | None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        values: Settings that were given, by field name.
        host: Address to listen on.
        port: Port; None = API_PORT.

    Raises:
        CommandError: The API cannot listen there.
    """
    settings = Settings.load(**values)
    log_to_stderr(settings)
    options = ["--source", settings.source]
    if settings.recording is not None:
        options += ["--recording", str(settings.recording.resolve())]
    launcher = ProcessTickLauncher(settings, options)

    def announce(url: str) -> None:
        sys.stdout.write(f"{READY_PREFIX}{url} ({settings.source}; endpoints: {url}/docs)\n")
        sys.stdout.flush()

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn hands a signal on once it has stopped
    try:
        with Warehouse(api_warehouse(settings), comment={"command": "hl-assets serve"}) as store:
            app = create_app(settings, store, launcher=launcher)
            run_api(app, host, settings.api_port if port is None else port, announce)
    except ListenError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        logger.info("stopped")
    finally:
        launcher.close()


def api_warehouse(settings: Settings) -> WarehouseConfig:
    """The warehouse of the settings, as the API's own user if it has one, less patient: somebody waits for the answer."""
    return replace(
        warehouse_config(settings),
        url=settings.api_clickhouse_address,
        attempts=_ATTEMPTS,
        connect_timeout_seconds=_CONNECT_SECONDS,
        query_timeout_seconds=settings.api_query_timeout_seconds,
    )
