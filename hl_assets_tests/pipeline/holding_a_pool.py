"""A process with a run that holds a pool of Dagster's: `python -m hl_assets_tests.pipeline.holding_a_pool HOME POOL FOLDER`.

It makes the file `held` in FOLDER once it holds the pool, and ends, and frees it, when there is a file `release`.
"""

import sys
import time
from pathlib import Path

import dagster as dg


def main(home: str, pool: str, folder: Path) -> None:
    @dg.op(pool=pool)
    def derive() -> None:
        (folder / "held").touch()
        while not (folder / "release").exists():
            time.sleep(0.05)

    @dg.job(executor_def=dg.in_process_executor)
    def another() -> None:
        derive()

    with dg.DagsterInstance.from_config(home) as instance:
        another.execute_in_process(instance=instance)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
