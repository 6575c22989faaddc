"""The stand-in from the command line; point `ANTHROPIC_BASE_URL` at the URL it prints.

Example: `python -m hl_assets_tests.messages_api --port 8466 --fault refusal=0.05 --fault truncation=0.1`.
"""

import argparse
import sys

from hl_assets_tests.messages_api.config import MessagesApiConfig
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.faults import Fault, kinds
from hl_assets_tests.messages_api.serving import LOOPBACK, run


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; 2 if the options cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        config = MessagesApiConfig(
            seed=options.seed,
            faults=tuple(Fault.from_text(text) for text in options.fault),
            api_key=options.key,
            latency_seconds=options.latency,
            thinking=options.thinking,
            cache_minimum_tokens=options.cache_minimum,
            batch_polls=options.batch_polls,
            batch_seconds=options.batch_seconds,
        )
        run(config, options.host, options.port, lambda url: print(url, flush=True))
    except StandInError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hl_assets_tests.messages_api",
        description=(
            "A stand-in for Anthropic's Messages API. Prints its URL when it is ready; use it with "
            "ANTHROPIC_BASE_URL=<that URL> and any ANTHROPIC_API_KEY. GET /_stand_in/requests shows what it was "
            "asked, POST /_stand_in/faults (a JSON list) replaces the fault switches, POST /_stand_in/reset forgets."
        ),
        epilog=f"Faults: {', '.join(kinds())}.",
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8466, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND=SHARE[,FIELD=VALUE...]",
        help="a fault switch, e.g. refusal=0.05,variant=empty or rate_limit_error=0.1,retry_after=1,lasts=redrawn; "
        "may be repeated, the first that is due decides",
    )
    parser.add_argument("--seed", type=int, default=0, help="which requests meet the faults (default 0)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before every message")
    parser.add_argument("--key", help="the only API key accepted (default: any)")
    parser.add_argument(
        "--thinking", choices=("never", "asked", "always"), default="asked", help="thinking blocks"
    )
    parser.add_argument(
        "--cache-minimum", type=int, default=4_096, metavar="TOKENS", help="shortest prompt prefix cached"
    )
    parser.add_argument("--batch-polls", type=int, default=1, help="retrievals until a batch has ended")
    parser.add_argument("--batch-seconds", type=float, default=0.0, help="seconds until a batch has ended")
    return parser


if __name__ == "__main__":
    sys.exit(main())
