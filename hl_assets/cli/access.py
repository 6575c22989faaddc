"""`hl-assets access`: roles and users with least privilege on a ClickHouse server.

Belongs here: passwords from the settings, running or printing the statements, and what is said about it. Does not belong here:
which privileges and which SQL (`hl_assets.warehouse.access`).
"""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from hl_assets.api.reads import SERVED
from hl_assets.cli.errors import CommandError
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.schemas import TABLES
from hl_assets.settings import Settings, environment_name
from hl_assets.warehouse.access import (
    HIDDEN,
    Identity,
    Load,
    Role,
    Statement,
    access_of_roles,
    access_statements,
    identity,
    role_name,
    user_name,
)
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.ddl import ONE_SERVER, Layout
from hl_assets.warehouse.errors import WarehouseQueryError

_ADVICE = {
    497: "; the user of CLICKHOUSE_URL must be allowed to manage users and to pass on what it grants (ClickHouse's image: "
    "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT=1)",
    514: "; this server stores no users: the embedded ClickHouse does not, a server needs `local_directory` or `replicated` in its "
    "`user_directories`",
}
"""What to do, by ClickHouse's code."""
_SALT_BYTES = 16
_ALWAYS_THERE = "system"
"""A database to be in while ours may not exist yet."""


def run_access(values: dict[str, object], *, dry_run: bool) -> None:
    """Make the roles of the source's database and the server's users; may be repeated. Does nothing if no user has a password.

    Args:
        values: Settings that were given, by field name.
        dry_run: Print the statements, run nothing and contact nobody.

    Raises:
        CommandError: The warehouse is the embedded one, or the server refused a statement.
        WarehouseError: It cannot be reached.
    """
    settings = Settings.load(**values)
    given = _passwords(settings)
    identities = {
        role: identity(password.get_secret_value(), secrets.token_hex(_SALT_BYTES))
        for role, password in given.items()
        if password is not None
    }
    if not identities and not dry_run:
        _say(
            f"nothing done: none of {', '.join(map(_variable, Role))} is set, so there is one user, that of CLICKHOUSE_URL"
        )
        return
    if settings.clickhouse_url is None and not dry_run:
        raise CommandError("the embedded ClickHouse has no users; set CLICKHOUSE_URL to a server's address")
    load = Load(settings.api_threads, settings.api_query_timeout_seconds)
    cluster = settings.clickhouse_cluster
    layout = Layout(cluster, settings.database) if cluster else ONE_SERVER
    access = access_of_roles(TABLES, settings.database, SERVED, load, layout)
    statements = access_statements(access.values(), settings.database, identities, cluster=cluster)
    if dry_run:
        _print(statements)
    else:
        _run(settings, statements, identities)
    for role in Role:
        _say(_line(role, settings.database, made=role in identities, prefix="-- " if dry_run else ""))


def _passwords(settings: Settings) -> dict[Role, SecretStr | None]:
    return {role: getattr(settings, _field(role)) for role in Role}


def _field(role: Role) -> str:
    return f"clickhouse_{role.value}_password"


def _variable(role: Role) -> str:
    return environment_name(Settings.model_fields[_field(role)])


def _print(statements: list[Statement]) -> None:
    for statement in statements:
        _say(f"{statement.shown};\n")


def _run(settings: Settings, statements: list[Statement], identities: Mapping[Role, Identity]) -> None:
    config = replace(warehouse_config(settings), database=_ALWAYS_THERE)
    with Warehouse(config, comment={"command": "hl-assets access"}) as store:
        for statement in statements:
            try:
                store.command(statement.sql)
            except WarehouseQueryError as error:
                text = _without_secrets(str(error), identities)
                raise CommandError(f"{text}{_ADVICE.get(error.code or 0, '')}") from None


def _without_secrets(text: str, identities: Mapping[Role, Identity]) -> str:
    """An error without what it may quote of a statement."""
    for who in identities.values():
        text = text.replace(who.digest, HIDDEN).replace(who.salt, HIDDEN)
    return text


def _line(role: Role, database: str, *, made: bool, prefix: str) -> str:
    user = f"user {user_name(role)}" if made else f"no user: {_variable(role)} is not set"
    return f"{prefix}{role_name(database, role)}: {user}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
