"""Run every benchmark, one process each: `python -m benchmarks [name ...]`, e.g. `python -m benchmarks tick payloads`."""

import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    wanted = sys.argv[1:] or NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted:
        print(f"\n== {name} ==", flush=True)
        failed += (
            subprocess.run(
                [sys.executable, "-W", "ignore", "-m", f"benchmarks.bench_{name}"], check=False
            ).returncode
            != 0
        )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
