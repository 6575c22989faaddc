"""The embedded ClickHouse under a role's privileges, enforced by the engine itself.

Belongs here: serving a data folder as if every statement came from a user with a given `Access`. Does not belong here: what must
hold then.

chDB stores no users, but it is ClickHouse: a `config.xml` in its working folder may name a file of users, and it then checks
privileges, constraints and quotas of its one user, `default`, as a server does. So that user is given the role's. What differs
from a server: system tables are open (`select_from_system_db_requires_grant` is a server's setting and not read).
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from hl_assets.warehouse.access import Access
from hl_assets.warehouse.embedded.process import status, stop
from hl_assets_tests.conftest import bare_environment
from hl_assets_tests.deployment.ports import wait_until

_SECONDS_PER = {"minute": 60, "hour": 3600}


@contextmanager
def serving_as(access: Access | None, home: Path, folder: Path) -> Iterator[str]:
    """Serve a data folder; yields the address.

    Args:
        access: What the statements' user may do; None = everything, managing users included.
        home: Data folder that nobody serves now.
        folder: Empty folder for the engine's configuration.
    """
    users = folder / "users.xml"
    users.write_text(users_xml(access), encoding="utf-8")
    (folder / "config.xml").write_text(
        f"<clickhouse><users_config>{users}</users_config></clickhouse>", encoding="utf-8"
    )
    command = [sys.executable, "-m", "hl_assets.warehouse.embedded", "--home", str(home)]
    with (folder / "server.out").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=bare_environment(),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until("the restricted server answers", lambda: _url(home, process) is not None, 60)
        url = _url(home, process)
        assert url is not None
        yield url
    finally:
        stop(home)
        process.wait(60)


def _url(home: Path, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "the restricted server ended; its folder has its log"
    state = status(home)
    return state.url if state is not None and state.pid == process.pid else None


def users_xml(access: Access | None) -> str:
    """The file of users: one user, `default`, with a role's privileges, settings with their bounds, and quota."""
    root = ET.Element("clickhouse")
    profile = _child(root, "profiles/default")
    user = _child(root, "users/default")
    quota = _child(root, "quotas/default")
    _children(user, {"password": "", "profile": "default", "quota": "default"})
    _child(user, "networks/ip").text = "::/0"
    if access is None:
        _children(user, {"access_management": "1"})
    else:
        grants = _child(user, "grants")
        for grant in access.grants:
            _children(grants, {"query": f"GRANT {grant.sql}"})
        constraints = _child(profile, "constraints")
        for limit in access.limits:
            _children(profile, {limit.setting: str(limit.value)})
            bounds = (
                {"const": ""} if limit.least is None else {"min": str(limit.least), "max": str(limit.most)}
            )
            _children(_child(constraints, limit.setting), bounds)
        for interval in access.quota:
            amounts = {name: str(amount) for name, amount in interval.most.items()}
            _children(_child(quota, "interval"), {"duration": str(_SECONDS_PER[interval.unit]), **amounts})
    return ET.tostring(root, encoding="unicode")


def _child(parent: ET.Element, path: str) -> ET.Element:
    for name in path.split("/"):
        parent = ET.SubElement(parent, name)
    return parent


def _children(parent: ET.Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text
