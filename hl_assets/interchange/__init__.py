"""Taking data out of a warehouse, into another one, and off the live exchange into files.

Belongs here: exports (Parquet), their import, panel files, and recording the exchange's bodies. Does not belong here: what
the tables mean (`schemas`), how rows are published (`warehouse`), replaying a recording (`exchange.sandbox`), printing (`cli`).
"""
