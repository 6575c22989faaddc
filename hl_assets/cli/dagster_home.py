"""Dagster's instance folder on this machine: one per source under HL_ASSETS_HOME, or the DAGSTER_HOME already set.

Belongs here: making that folder and its `dagster.yaml`. Does not belong here: what Dagster runs.
"""

from importlib.resources import files
from pathlib import Path

from hl_assets.settings import Settings


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the instance folder with the project's `dagster.yaml`.

    Each source has an instance of its own, as it has a database of its own: otherwise a day materialised in the
    sandbox would look materialised for the live exchange. A DAGSTER_HOME set by the user is used as it is.
    """
    if settings.dagster_home is not None:
        return settings.dagster_home.resolve()
    home = settings.home.resolve() / "dagster" / settings.source
    home.mkdir(parents=True, exist_ok=True)
    shipped = files("hl_assets").joinpath("dagster.yaml").read_text(encoding="utf-8")
    target = home / "dagster.yaml"
    if not target.exists() or target.read_text(encoding="utf-8") != shipped:
        target.write_text(shipped, encoding="utf-8")
    return home
