"""Logging of this process, for services and for commands that run Dagster in it.

Belongs here: which handler, which level. Does not belong here: how a line looks (`hl_assets.observability.logs`), what a run
prints (`hl_assets.resources.logs`).
"""

import logging
import sys
from types import TracebackType

from hl_assets.observability.logs import THROUGH_DAGSTER, Masking, formatter_of
from hl_assets.settings import Settings, secret_texts

logger = logging.getLogger(__name__)


def log_to_stderr(settings: Settings, *, own_level: str | None = None, runs_print: bool = False) -> None:
    """Log warnings of libraries and lines of the platform to stderr; stdout is for what was asked for.

    Args:
        settings: Format and level.
        own_level: Least severe lines of the platform, if these are to be fewer than LOG_LEVEL says.
        runs_print: Whether runs in this process print their log themselves, so that it is not said twice.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_of(settings.log_format, Masking(secret_texts(settings))))
    if runs_print:
        handler.addFilter(lambda record: not hasattr(record, THROUGH_DAGSTER))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("hl_assets").setLevel((own_level or settings.log_level).upper())
    if settings.log_format == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_uncaught


def log_of_run(settings: Settings, *, verbose: bool) -> str:
    """Set logging up for a command that runs Dagster in this process for a person, or for a log store.

    Returns:
        The level from which the run prints its log: all of it where somebody asks, or LOG_FORMAT=json; else nothing, as what
        failed is printed at the end.
    """
    as_json = settings.log_format == "json"
    log_to_stderr(settings, own_level="warning", runs_print=as_json or verbose)
    if verbose:
        return "INFO"
    return settings.log_level.upper() if as_json else "CRITICAL"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("ended by an error that nobody expected", exc_info=(kind, error, trace))
