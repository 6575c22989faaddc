"""What runs print on their console, wherever they run: Dagster's coloured lines, or JSON.

Belongs here: Dagster's logger `console`. Does not belong here: how a line looks (`hl_assets.observability.logs`), how much is
printed (`hl_assets.jobs.console_log`).
"""

import logging
import sys

import dagster as dg

from hl_assets.observability.logs import JsonFormatter, Masking
from hl_assets.settings import Settings, secret_texts

_LEVELS = logging.getLevelNamesMapping()


def console_logger(settings: Settings) -> dg.LoggerDefinition:
    """The logger `console` that LOG_FORMAT names; both take the same configuration."""
    if settings.log_format != "json":
        return dg.colored_console_logger
    mask = Masking(secret_texts(settings))

    @dg.logger(
        config_schema={
            "log_level": dg.Field(str, is_required=False, default_value="INFO"),
            "name": dg.Field(str, is_required=False, default_value="dagster"),
        },
        description="One JSON object per line on stderr.",
    )
    def json_console(context: dg.InitLoggerContext) -> logging.Logger:
        config = context.logger_config
        # As Dagster's own: a logger of this run alone, which no other configuration of logging can reach.
        made = logging.Logger(config["name"], level=_LEVELS[config["log_level"].upper()])
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter(mask))
        made.addHandler(handler)
        return made

    return json_console
