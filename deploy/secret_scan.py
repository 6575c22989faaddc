"""Looks for secrets in the files of the repository; part of `make lint`.

Belongs here: which files, and comparing with `.secrets.json`, the list of findings that a person has judged to be none
(examples in documentation, keys that tests invent). A finding is known by file, kind and hash, not by its line, so
that moving a line changes nothing.

    python deploy/secret_scan.py            # exit status 1 and a list, if there is something new
    python deploy/secret_scan.py --accept   # writes what is found now into the list; look at the difference before committing
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings, get_settings

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / ".secrets.json"
_SKIPPED = {".lock", ".jsonl", ".png"}  # hashes, invented cases, pictures
_GENERATED = {"docs/tables.md", ".secrets.json"}
_FOLDERS = {".git", ".venv", ".hl_assets", "secrets", "build", "dist", "__pycache__"}


def files() -> list[str]:
    """Files under version control; without git, everything that is not made on the spot."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() if listed.returncode == 0 else list(_found())
    return [name for name in names if Path(name).suffix not in _SKIPPED and name not in _GENERATED]


def _found() -> Iterator[str]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _FOLDERS and not name.endswith("_cache")]
        yield from (str(Path(folder, name).relative_to(ROOT)) for name in names)


def scan(names: list[str]) -> dict[str, list[dict[str, str]]]:
    """Findings by file: kind and hash, and the line for people."""
    os.chdir(ROOT)
    found = SecretsCollection()
    with default_settings():
        # Telling from outside whether a key works would send it somewhere.
        get_settings().disable_filters(
            "detect_secrets.filters.common.is_ignored_due_to_verification_policies"
        )
        found.scan_files(*names, num_processors=2)
    result: dict[str, list[dict[str, str]]] = {}
    for name, secret in sorted(found, key=lambda item: (item[0], item[1].line_number)):
        entry = {"kind": secret.type, "hash": secret.secret_hash, "line": str(secret.line_number)}
        result.setdefault(name, []).append(entry)
    return result


def without_lines(found: dict[str, list[dict[str, str]]]) -> dict[str, list[dict[str, str]]]:
    """What identifies the findings."""
    return {
        name: sorted(
            ({"kind": entry["kind"], "hash": entry["hash"]} for entry in entries),
            key=lambda e: (e["kind"], e["hash"]),
        )
        for name, entries in found.items()
    }


def main(arguments: list[str]) -> int:
    """Scan; compare or accept."""
    found = scan(files())
    if "--accept" in arguments:
        KNOWN.write_text(json.dumps(without_lines(found), indent=1) + "\n", encoding="utf-8")
        return 0
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    new = [
        f"{name}:{entry['line']}: {entry['kind']}"
        for name, entries in found.items()
        for entry in entries
        if {"kind": entry["kind"], "hash": entry["hash"]} not in known.get(name, [])
    ]
    if new:
        print("this looks like a secret; remove it, or see deploy/secret_scan.py:\n  " + "\n  ".join(new))
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
