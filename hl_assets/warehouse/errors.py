"""Typed errors of the warehouse; each message names what was wrong and what to do.

Belongs here: the error classes and which ClickHouse errors can heal by themselves. Does not belong here: raising them.
"""


class WarehouseError(Exception):
    """Anything that goes wrong between us and ClickHouse.

    Attributes:
        transient: Whether the same call can succeed later without anyone changing anything.
    """

    transient: bool = False


class WarehouseUnavailableError(WarehouseError):
    """The server cannot be reached or is overloaded; trying again later can help.

    Attributes:
        unreachable: Whether no answer came at all (connection refused, lost, timed out), so that it is unknown
            whether the statement was carried out.
    """

    transient = True

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        super().__init__(message)
        self.unreachable = unreachable


class WarehouseQueryError(WarehouseError):
    """ClickHouse refused a statement; the same statement will fail again.

    Attributes:
        code: ClickHouse's error number, None if it sent none.
        name: ClickHouse's error name, such as `UNKNOWN_TABLE`.
    """

    def __init__(self, message: str, *, code: int | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name


class ClickHouseUrlError(WarehouseError, ValueError):
    """`CLICKHOUSE_URL` cannot be understood; the message never contains the password."""


class SchemaMismatchError(WarehouseError):
    """A stored table differs from its contract.

    Attributes:
        differences: One line per difference.
    """

    def __init__(self, message: str, differences: tuple[str, ...]) -> None:
        super().__init__(message)
        self.differences = differences


class MigrationHistoryError(WarehouseError):
    """The database records migrations that do not fit this version; nothing was changed."""


class InvalidSliceError(WarehouseError, ValueError):
    """A frame handed to a publish verb does not fit its contract or slot; nothing was written."""


class RowCountMismatchError(WarehouseError):
    """ClickHouse stored another number of rows than was sent; nothing was published."""


class EmbeddedServerError(WarehouseError):
    """The embedded ClickHouse cannot be started, reached or stopped."""


class EmbeddedServerRunningError(EmbeddedServerError):
    """Another process already serves the data folder.

    Attributes:
        pid: Process id of the owner, None while it is still starting.
    """

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


# ClickHouse errors that heal by themselves: NETWORK_ERROR, TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT,
# CANNOT_SCHEDULE_TASK. On a cluster, while replicas catch up or come back: TOO_FEW_LIVE_REPLICAS,
# UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, REPLICA_IS_NOT_IN_QUORUM, UNKNOWN_STATUS_OF_INSERT, ALL_CONNECTION_TRIES_FAILED.
# A query's own memory limit (241) never heals by waiting; the server-wide one does.
TRANSIENT_CODES = frozenset({210, 202, 209, 439, 285, 286, 289, 319, 279})
MEMORY_LIMIT_EXCEEDED = 241


def is_transient(code: int | None, message: str) -> bool:
    """Whether a ClickHouse error is worth repeating the same statement for."""
    if code == MEMORY_LIMIT_EXCEEDED:
        return "(total)" in message  # "Memory limit (total) exceeded", newer: "(total) memory limit exceeded"
    return code in TRANSIENT_CODES
