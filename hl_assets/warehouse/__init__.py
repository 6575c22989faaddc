"""ClickHouse: connection, table definitions, publishing, the publication manifest, and the embedded server.

Belongs here: everything that speaks SQL. Does not belong here: what the tables mean (`hl_assets.schemas`), what is
computed (the domain packages), Dagster. This file stays free of imports: the embedded server starts faster without
pandas and clickhouse-connect.
"""
