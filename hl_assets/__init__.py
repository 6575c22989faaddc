"""hl_assets: a Dagster data platform that scores Hyperliquid traders, point in time, in ClickHouse."""

__version__ = "0.1.0"
