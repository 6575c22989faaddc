"""A cluster of one shard, as far as the embedded ClickHouse has one: `python -m hl_assets_tests.warehouse.rehearsed_cluster`.

Belongs here: the embedded server with a cluster in its configuration, and what is left out of statements for it. Does not belong
here: what must hold then.

The engine has Distributed tables, cluster functions, GLOBAL IN and every setting of a cluster: those are used as they are. It has no
queue of distributed DDL and no interserver port, so two things are taken out of a statement before the engine sees it:
`ON CLUSTER`, and `Replicated` with its path and replica, which is put back where `system.tables` is asked for engines. Nothing
else is changed. Coordination itself is not tried here.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hl_assets.warehouse.embedded import __main__ as embedded
from hl_assets.warehouse.embedded.engine import Answer, Engine, Statement
from hl_assets.warehouse.embedded.process import status, stop
from hl_assets_tests.conftest import bare_environment
from hl_assets_tests.deployment.ports import wait_until

CLUSTER = "solo"
_CONFIG = f"""<clickhouse>
  <tcp_port>9000</tcp_port>
  <remote_servers><{CLUSTER}><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></{CLUSTER}></remote_servers>
  <macros><shard>1</shard><replica>a</replica></macros>
</clickhouse>"""
_ON_CLUSTER = re.compile(rb" ON CLUSTER `solo`")
_REPLICATED = re.compile(rb"ENGINE = Replicated(\w*MergeTree)\('[^']*', '[^']*'\)")

_ENGINES = b"SELECT name, engine, comment, sorting_key, partition_key FROM system.tables"


class _OneServersEngine(Engine):
    """The engine, told what one server can be told."""

    def run(self, statement: Statement) -> Answer:
        text = _REPLICATED.sub(rb"ENGINE = \1", _ON_CLUSTER.sub(b"", statement.text))
        text = text.replace(
            _ENGINES,
            _ENGINES.replace(
                b"engine", b"if(engine LIKE '%MergeTree', concat('Replicated', engine), engine)"
            ),
        )
        return super().run(replace(statement, text=text))


@contextmanager
def serving_cluster(home: Path, folder: Path) -> Iterator[str]:
    """Serve an empty data folder as the cluster `solo`; yields the address.

    Args:
        home: Data folder.
        folder: Empty folder for the engine's configuration.
    """
    (folder / "config.xml").write_text(_CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", __name__, "--home", str(home)]
    with (folder / "server.out").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=bare_environment(),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )

    def url() -> str | None:
        assert process.poll() is None, (folder / "server.out").read_text()
        state = status(home)
        return state.url if state is not None and state.pid == process.pid else None

    try:
        wait_until("the cluster answers", lambda: url() is not None, 60)
        found = url()
        assert found is not None
        yield found
    finally:
        stop(home)
        process.wait(60)


if __name__ == "__main__":
    from hl_assets.warehouse.embedded import engine

    engine.Engine = _OneServersEngine  # type: ignore[misc]
    embedded.main()
