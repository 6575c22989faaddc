"""`python -m hl_assets.cli`: the command line without the installed script."""

from hl_assets.cli.app import main

main()
