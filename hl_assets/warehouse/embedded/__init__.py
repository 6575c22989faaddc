"""The embedded ClickHouse: chDB, ClickHouse's own engine, owned by one process that serves its HTTP interface.

chDB allows one process per data folder, but Dagster runs many; so one process owns the folder and everybody else uses
the ordinary client. Belongs here: the engine (`engine`), the HTTP front (`server`), starting and stopping the process
(`process`). Does not belong here: anything that would differ on a ClickHouse cluster. This file stays free of imports.
"""
