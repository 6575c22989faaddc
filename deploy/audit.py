"""Looks the locked dependencies up in the advisory database of the package index; `make audit` and `make lint`.

Belongs here: running pip-audit and judging what it says. pip-audit calls it a success when an index answers none of its
questions, as mirrors do; here that is "not audited", and an error unless `--offline-ok` is given.

Exit status: 0 = no known vulnerability (or, with --offline-ok, nobody to ask); 1 = vulnerabilities, or not audited.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = ("requirements-dev.lock", "requirements-build.lock")  # the former holds all that the image has, too


def ask(lock: Path) -> list[dict[str, Any]]:
    """pip-audit's findings, one per locked package; empty if the index cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(lock),
        "--require-hashes",
        "--disable-pip",
    ]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        print(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip-audit said nothing",
            file=sys.stderr,
        )
        return []
    return found


def judge(found: list[dict[str, Any]]) -> tuple[str, bool, bool]:
    """What to say; whether anything was audited; whether all of it was and is clean."""
    vulnerable = [f"{p['name']} {p['version']}: {v['id']}" for p in found for v in p.get("vulns", [])]
    unknown = [package["name"] for package in found if "skip_reason" in package]
    audited = len(found) - len(unknown)
    if vulnerable:
        return "known vulnerabilities:\n  " + "\n  ".join(vulnerable), True, False
    if audited == 0:
        return "NOT AUDITED: the package index answers no question about advisories", False, False
    if unknown:
        return f"not audited: {', '.join(unknown)}", True, False
    return f"no known vulnerability in {audited} packages", True, True


def main(arguments: list[str]) -> int:
    """Audit every lock."""
    root = Path(__file__).resolve().parent.parent
    found = [package for lock in LOCKS for package in ask(root / lock)]
    text, audited, clean = judge(found)
    print(text)
    return 0 if clean or (not audited and "--offline-ok" in arguments) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
