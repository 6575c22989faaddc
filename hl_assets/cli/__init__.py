"""`hl-assets`, the command line: one module per command group, `app` puts them together.

Belongs here: options, printing, starting and stopping local processes. Does not belong here: anything an asset does.
"""

from hl_assets.cli.app import main

__all__ = ["main"]
