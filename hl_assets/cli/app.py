"""The `hl-assets` command and its subcommands' options.

Belongs here: what can be typed, help with examples, and how known errors read. Does not belong here: the work; each
command's module is imported when it runs, so that `--help` is quick.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from hl_assets import __version__
from hl_assets.cli.console import harmless

app = typer.Typer(
    name="hl-assets",
    help="Score Hyperliquid traders on deposit-proof equity curves, point in time, with Dagster and ClickHouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
warehouse_app = typer.Typer(help="Start, stop and inspect the embedded ClickHouse.", no_args_is_help=True)
app.add_typer(warehouse_app, name="warehouse")
alerts_app = typer.Typer(
    help="Try the webhook, and list the alerts that were delivered.", no_args_is_help=True
)
app.add_typer(alerts_app, name="alerts")


class Grain(StrEnum):
    """Grains of a reconstruction."""

    DAY = "1d"
    HOUR = "1h"
    SLOT = "10m"


class SourceName(StrEnum):
    """Values of `--source`."""

    SANDBOX = "sandbox"
    RECORDED = "recorded"
    LIVE = "live"


class OutputFormat(StrEnum):
    """Values of `--format`."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ExportFormat(StrEnum):
    """Values of `export --format`."""

    PARQUET = "parquet"


SourceOption = Annotated[
    SourceName | None,
    typer.Option("--source", help="Exchange whose data to use [default: HL_ASSETS_SOURCE, else sandbox]."),
]


@app.command(
    epilog="Examples: `hl-assets run`, `hl-assets run --source live --top-n 200`, "
    "`hl-assets run --source recorded --recording panel.csv.gz --as-of 2026-05-31`"
)
def run(
    source: SourceOption = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="Panel file (CSV, CSV.gz) or folder of `hl-assets record`, for --source recorded."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Slot to materialise, e.g. 2026-05-31 or 2026-05-31T12:10:00Z [default: the current one]."
        ),
    ] = None,
    top_n: Annotated[
        int | None, typer.Option(help="Wallets to fetch and rank [default: TOP_N_WALLETS, else 100].")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the ranking to print.", min=1)] = 20,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Dagster's log.")] = False,
) -> None:
    """Materialise one slot through Dagster and print the ranked traders."""
    from hl_assets.cli.run import run_slot  # noqa: PLC0415

    raise typer.Exit(
        run_slot(_values(source=source, recording=recording, top_n=top_n), as_of, rows, verbose=verbose)
    )


@app.command(
    epilog="Examples: `hl-assets top`, `hl-assets top --rows 50 --as-of 2026-05-31T12:00:00Z`, "
    "`hl-assets top --hide vault,zero_volume`, `hl-assets top --config cautious`"
)
def top(
    rows: Annotated[int, typer.Option(help="Rows to print.", min=1)] = 20,
    as_of: Annotated[
        str | None, typer.Option(help="Newest slot at or before this instant [default: the newest].")
    ] = None,
    hide: Annotated[
        str,
        typer.Option(
            help="Entity flags to leave out: vault, system_address, zero_volume, flow_dominated, one_big_win, "
            "separated by commas; or `default` for those of ENTITY_FILTER."
        ),
    ] = "none",
    config: Annotated[
        str | None,
        typer.Option(help="Hash or name of a configuration that `hl-assets rescore` stored."),
    ] = None,
    source: SourceOption = None,
) -> None:
    """Print the ranking that is stored, without fetching anything."""
    from hl_assets.cli.show import show_top  # noqa: PLC0415

    show_top(_values(source=source), rows, as_of, hide=hide, config=config)


@app.command(
    epilog="Examples: `hl-assets rescore --weights max_drawdown=2,avg_drawdown=2 --name cautious`, "
    "`hl-assets rescore --weights roi=0 --from 2026-05-01 --to 2026-05-31`"
)
def rescore(
    weights: Annotated[
        str, typer.Option(help="Weights, e.g. max_drawdown=2,roi=0.5; a metric that is not named weighs 1.")
    ],
    start: Annotated[
        str | None, typer.Option("--from", help="First slot to score [default: the first stored].")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last slot, or a date: that whole day [default: the newest].")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the configuration [default: its hash].")
    ] = None,
    source: SourceOption = None,
) -> None:
    """Score stored slots again under other weights, into rescored_scores; the published ranking stays as it is."""
    from hl_assets.cli.rescore import run_rescore  # noqa: PLC0415

    run_rescore(_values(source=source), weights, start, end, name)


@app.command(epilog="Example: `hl-assets wallet 0x31ca8395cf837de08b24da3f660e77761dfb974b --png curve.png`")
def wallet(
    address: Annotated[str, typer.Argument(help="The wallet's address.")],
    as_of: Annotated[
        str | None, typer.Option(help="Newest slot at or before this instant [default: the newest].")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw the curve into this file instead of the terminal.")
    ] = None,
    as_known: Annotated[
        bool, typer.Option("--as-known", help="Compute from points that had been seen by the slot only.")
    ] = False,
    source: SourceOption = None,
) -> None:
    """Print what is known about one wallet: rank, metrics with their meaning, reasons of nulls, grade, and its curve."""
    from hl_assets.cli.console import make_console  # noqa: PLC0415
    from hl_assets.cli.wallet import show_wallet  # noqa: PLC0415

    show_wallet(_values(source=source), address, as_of, make_console(), png=png, as_known=as_known)


@app.command(
    epilog="Examples: `hl-assets grade 0x31ca8395cf837de08b24da3f660e77761dfb974b --dry-run`, "
    "`GRADER=claude hl-assets grade 0x31ca8395cf837de08b24da3f660e77761dfb974b --fresh`"
)
def grade(
    address: Annotated[str, typer.Argument(help="The wallet's address.")],
    as_of: Annotated[
        str | None, typer.Option(help="Newest slot at or before this instant [default: the newest].")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the request, its token estimate and price; ask nobody."),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask even if a stored answer fits.")] = False,
    source: SourceOption = None,
) -> None:
    """Grade one wallet with the configured grader and print prompt, input, grade and price."""
    from hl_assets.cli.console import make_console  # noqa: PLC0415
    from hl_assets.cli.grade import grade_wallet  # noqa: PLC0415

    grade_wallet(_values(source=source), address, as_of, make_console(), dry_run=dry_run, fresh=fresh)


@app.command(
    epilog="Examples: `hl-assets watch`, `hl-assets watch 0x31ca8395cf837de08b24da3f660e77761dfb974b`"
)
def watch(
    address: Annotated[
        str | None, typer.Argument(help="The wallet's address [default: print those watched].")
    ] = None,
    source: SourceOption = None,
) -> None:
    """Follow a wallet in every slot, on the board or not (with FETCH_PLAN=board)."""
    from hl_assets.cli.watch import watch  # noqa: PLC0415

    watch(_values(source=source), address)


@app.command(epilog="Example: `hl-assets unwatch 0x31ca8395cf837de08b24da3f660e77761dfb974b`")
def unwatch(
    address: Annotated[str, typer.Argument(help="The wallet's address.")], source: SourceOption = None
) -> None:
    """Follow a wallet no longer, unless it was in the top within TRACK_DAYS."""
    from hl_assets.cli.watch import unwatch  # noqa: PLC0415

    unwatch(_values(source=source), address)


@app.command(epilog='Example: `hl-assets query "SELECT count() FROM wallet_scores" --format json`')
def query(
    sql: Annotated[str, typer.Argument(help="A ClickHouse query; tables are described in docs/tables.md.")],
    output: Annotated[
        OutputFormat, typer.Option("--format", help="How to print the rows.")
    ] = OutputFormat.TABLE,
    source: SourceOption = None,
) -> None:
    """Run one SQL query against the warehouse."""
    from hl_assets.cli.show import show_query  # noqa: PLC0415

    show_query(_values(source=source), sql, output.value)


@app.command(
    epilog="Examples: `hl-assets backfill --from 2026-05-01 --to 2026-05-31`, "
    "`hl-assets backfill --from 2026-05-31 --every 10m --source live`, "
    "`hl-assets backfill --from 2026-05-01 --assets wallet_scores --full-refresh`"
)
def backfill(
    start: Annotated[str | None, typer.Option("--from", help="First UTC day, e.g. 2026-05-01.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last UTC day [default: today].")] = None,
    assets: Annotated[
        str | None, typer.Option(help="Derived assets, separated by commas [default: all of them].")
    ] = None,
    every: Annotated[
        Grain, typer.Option(help="Grain at which stretches without an observed slot are reconstructed.")
    ] = Grain.DAY,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Also make again what is up to date.")
    ] = False,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Ask Claude in batches, at half the price and within the budgets [default: stored answers, rules].",
        ),
    ] = False,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this backfill, with the options it was started with.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do; do nothing.")] = False,
    source: SourceOption = None,
) -> None:
    """Rebuild past days from what is stored, and reconstruct those that nobody observed; one Dagster run a day.

    A day with stored snapshots is derived again from them where sources or code changed. A day without is reconstructed from
    histories fetched later, with points dated at or before each slot: survivors only, every row marked `reconstructed`. What is
    up to date is left out, so the same command goes on where it was cut short.
    """
    from hl_assets.cli.backfill import Options, run_backfill  # noqa: PLC0415

    chosen = tuple(name.strip() for name in (assets or "").split(",") if name.strip())
    options = Options(start, end, every.value, chosen, full_refresh=full_refresh, batch=batch)
    raise typer.Exit(run_backfill(_values(source=source), options, resume=resume, dry_run=dry_run))


@app.command(
    epilog="Examples: `hl-assets quarantine`, "
    "`hl-assets quarantine --waive 2026-05-31T12:10:00Z --reason 'the exchange sent garbage'`"
)
def quarantine(
    waive: Annotated[
        str | None, typer.Option(help="Slot to accept as missing: its check turns green.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is all right; kept with the slot.")] = None,
    source: SourceOption = None,
) -> None:
    """List the slots that could not be derived, or waive one."""
    from hl_assets.cli.quarantine import run_quarantine  # noqa: PLC0415

    run_quarantine(_values(source=source), waive, table, reason)


@app.command(
    epilog="Examples: `hl-assets coverage`, `hl-assets coverage --from 2026-05-01 --to 2026-05-31 --png may.png`, "
    "`hl-assets coverage --source live --json`"
)
def coverage(
    start: Annotated[
        str | None, typer.Option("--from", help="First slot or day [default: the first stored].")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last slot, or last whole day [default: the newest settled].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Draw day x slot into this file, coloured by status.")
    ] = None,
    source: SourceOption = None,
) -> None:
    """Print the share of covered slots, the gaps with their causes, and what to do about each."""
    from hl_assets.cli.coverage import show_coverage  # noqa: PLC0415

    show_coverage(_values(source=source), start, end, as_json=as_json, png=png)


@app.command(
    "grade-eval",
    epilog="Examples: `hl-assets grade-eval`, `hl-assets grade-eval --repeat 3`, "
    "`hl-assets grade-eval --cases cases.jsonl --no-metamorphic --json`",
)
def grade_eval(
    repeat: Annotated[
        int, typer.Option(help="How often every case is asked; agreement needs at least 2.", min=1)
    ] = 1,
    cases: Annotated[
        Path | None, typer.Option(help="File of cases, one JSON object per line [default: the golden set].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    metamorphic: Annotated[
        bool, typer.Option(help="Also ask for changed inputs whose effect is known, about 14 per case.")
    ] = True,
) -> None:
    """Evaluate the configured grader: golden cases, metamorphic relations, repeat agreement, distance from the rules.

    Ends with status 1 when a golden case failed or a relation was violated.
    """
    from hl_assets.cli.console import make_console  # noqa: PLC0415
    from hl_assets.cli.grade_eval import run_grade_eval  # noqa: PLC0415

    raise typer.Exit(
        run_grade_eval(repeat, cases, make_console(), as_json=as_json, with_metamorphic=metamorphic)
    )


@app.command(
    epilog="Examples: `hl-assets export --out backup`, "
    "`hl-assets export wallet_scores wallet_metrics --from 2026-05-01 --to 2026-05-31 --out may --source live`"
)
def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; made if it is missing.")],
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables to export [default: all]; see docs/tables.md.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First slot or day [default: the first published].")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Last slot, or last whole day [default: the last published].")
    ] = None,
    file_format: Annotated[
        ExportFormat, typer.Option("--format", help="Format of the files.")
    ] = ExportFormat.PARQUET,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an export that is in the folder already.")
    ] = False,
    source: SourceOption = None,
) -> None:
    """Write published rows into Parquet files, one per table and day, with a manifest; `hl-assets import` reads them."""
    from hl_assets.cli.interchange import export_folder  # noqa: PLC0415

    del file_format  # there is one
    export_folder(_values(source=source), out, tables or [], start, end, overwrite=overwrite)


@app.command(
    "import",
    epilog="Examples: `hl-assets import backup --source live --dry-run`, "
    "`hl-assets import 'may/table=wallet_scores/day=2026-05-31/part.parquet' --source live`, "
    "`hl-assets import vaults.csv.gz --source recorded`",
)
def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of `hl-assets export`, a .parquet file of one, or a panel file (CSV, CSV.gz)."
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Also publish slots that are there with other content.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and count; write nothing.")] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="File for what is rejected [default: NAME.rejects.jsonl in the current folder]."),
    ] = None,
    source: SourceOption = None,
) -> None:
    """Publish rows of an export or a panel file, held to the contracts; what breaks them is rejected with its reason."""
    from hl_assets.cli.interchange import import_path  # noqa: PLC0415

    raise typer.Exit(import_path(_values(source=source), path, rejects, replace=replace, dry_run=dry_run))


@app.command(
    epilog="Examples: `hl-assets record --out today --source live --for 1h`, "
    "`hl-assets record --out minutes --top-n 20 --every 1m`"
)
def record(
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write; an earlier recording in it is continued.")
    ],
    top_n: Annotated[
        int | None, typer.Option(help="Wallets to record each round [default: TOP_N_WALLETS, else 100].")
    ] = None,
    every: Annotated[str, typer.Option(help="Time between two rounds, e.g. 30s, 10m, 1h.")] = "10m",
    duration: Annotated[
        str | None, typer.Option("--for", help="How long to record, e.g. 1h or 2d [default: until Ctrl-C].")
    ] = None,
    source: SourceOption = None,
) -> None:
    """Capture the exchange's answers, byte for byte, into a folder that the local exchange replays at those instants."""
    from hl_assets.cli.record import record_exchange  # noqa: PLC0415

    raise typer.Exit(record_exchange(_values(source=source, top_n=top_n), out, every, duration))


@app.command(
    epilog="Examples: `hl-assets sandbox`, `hl-assets sandbox --recording panel.csv.gz --clock 2026-05-31`"
)
def sandbox(
    port: Annotated[int | None, typer.Option(help="Port, 0 for a free one [default: SANDBOX_PORT].")] = None,
    wallets: Annotated[
        int | None, typer.Option(help="Simulated wallets, 100 to 50,000 [default: SANDBOX_WALLETS].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the population [default: SANDBOX_SEED].")] = None,
    recording: Annotated[
        Path | None,
        typer.Option(
            help="Replay this panel file or folder of `hl-assets record` instead of a simulated population."
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            help="`real`, an instant to stand still at, or INSTANT@SPEED to run from it "
            "[default: real; for a recording, its newest sample]."
        ),
    ] = None,
    weight_per_minute: Annotated[
        int, typer.Option(help="Request weight enforced per minute.", min=20)
    ] = 1200,
    host: Annotated[
        str, typer.Option(help="Address to listen on; control answers this machine only.")
    ] = "127.0.0.1",
) -> None:
    """Serve a local exchange with Hyperliquid's endpoints, shapes and limits, until Ctrl-C."""
    from hl_assets.cli.sandbox import serve_sandbox  # noqa: PLC0415

    serve_sandbox(
        _values(sandbox_wallets=wallets, sandbox_seed=seed),
        recording=recording,
        port=port,
        clock=clock,
        weight_per_minute=weight_per_minute,
        host=host,
    )


@app.command(epilog="Examples: `hl-assets serve`, `hl-assets serve --source live --host 0.0.0.0 --port 80`")
def serve(
    source: SourceOption = None,
    recording: Annotated[
        Path | None, typer.Option(help="Panel file (CSV, CSV.gz) for --source recorded.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port, 0 for a free one [default: API_PORT, else 8080].", min=0, max=65535),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the REST API over what is stored, until Ctrl-C; docs/api.md describes it."""
    from hl_assets.cli.serve import run_serve  # noqa: PLC0415

    run_serve(_values(source=source, recording=recording), host, port)


@app.command(epilog="Example: `hl-assets tick --source live`")
def tick(
    source: SourceOption = None,
    recording: Annotated[
        Path | None, typer.Option(help="Panel file (CSV, CSV.gz) for --source recorded.")
    ] = None,
    verdict: Annotated[
        Path | None, typer.Option(help="File to write the run's id into once it is accepted.", hidden=True)
    ] = None,
) -> None:
    """Materialise the current slot without printing the ranking, unless a tick is unfinished."""
    from hl_assets.cli.tick import run_tick  # noqa: PLC0415

    raise typer.Exit(run_tick(_values(source=source, recording=recording), verdict))


@app.command(epilog="Examples: `hl-assets migrate --dry-run`, `hl-assets migrate --source live`")
def migrate(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the statements; run nothing. Status 1: what is stored differs."
        ),
    ] = False,
    source: SourceOption = None,
) -> None:
    """Carry out the migrations a database lacks, and make its tables and views fit this version; may be repeated, harms no row."""
    from hl_assets.cli.migrate import run_migrate  # noqa: PLC0415

    raise typer.Exit(run_migrate(_values(source=source), dry_run=dry_run))


@app.command(epilog="Examples: `hl-assets access --dry-run`, `hl-assets access --source live`")
def access(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the statements of all roles, without digests of passwords; run nothing."
        ),
    ] = False,
    source: SourceOption = None,
) -> None:
    """Make ClickHouse's roles and users with least privilege: migrator, writer, reader, api; may be repeated.

    Connects as the user of CLICKHOUSE_URL, who must be allowed to manage users. A user is made, or given its password again, where
    CLICKHOUSE_MIGRATOR_PASSWORD, CLICKHOUSE_WRITER_PASSWORD, CLICKHOUSE_READER_PASSWORD or CLICKHOUSE_API_PASSWORD (or NAME_FILE)
    is set; where none is, nothing is done. Run it again after an upgrade: privileges follow the tables.
    """
    from hl_assets.cli.access import run_access  # noqa: PLC0415

    run_access(_values(source=source), dry_run=dry_run)


@app.command(epilog="Examples: `hl-assets dev`, `hl-assets dev --source live --port 3001`")
def dev(
    source: SourceOption = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="Panel file (CSV, CSV.gz) or folder of `hl-assets record`, for --source recorded."),
    ] = None,
    top_n: Annotated[
        int | None, typer.Option(help="Wallets to fetch each slot [default: TOP_N_WALLETS, else 100].")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI on 127.0.0.1.", min=1, max=65535)] = 3000,
    api_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the REST API on 127.0.0.1 [default: API_PORT, else 8080].", min=1, max=65535
        ),
    ] = None,
) -> None:
    """Run everything: embedded ClickHouse, local exchange (unless live), Dagster with schedules on, the REST API."""
    from hl_assets.cli.dev import run_dev  # noqa: PLC0415

    raise typer.Exit(
        run_dev(_values(source=source, recording=recording, top_n=top_n, api_port=api_port), port)
    )


@app.command(
    epilog="Examples: `hl-assets maintain --dry-run`, `RETENTION=equity_curves=7 hl-assets maintain --source live`"
)
def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    source: SourceOption = None,
) -> None:
    """Do what the daily maintenance job does: RETENTION, sweeping, Dagster's old runs; docs/operations.md."""
    from hl_assets.cli.maintain import run_maintain  # noqa: PLC0415

    raise typer.Exit(run_maintain(_values(source=source), dry_run=dry_run))


@warehouse_app.command("start")
def warehouse_start() -> None:
    """Start the embedded ClickHouse, if it does not run yet, and print its address."""
    from hl_assets.cli.embedded import start  # noqa: PLC0415

    start()


@warehouse_app.command("stop")
def warehouse_stop() -> None:
    """Stop the embedded ClickHouse cleanly."""
    from hl_assets.cli.embedded import stop  # noqa: PLC0415

    stop()


@warehouse_app.command("status")
def warehouse_status() -> None:
    """Say whether the embedded ClickHouse runs, where its data are and how large they are."""
    from hl_assets.cli.embedded import status  # noqa: PLC0415

    status()


@alerts_app.command("test", epilog="Examples: `hl-assets alerts test`, `hl-assets alerts test --source live`")
def alerts_test(source: SourceOption = None) -> None:
    """Post a signed test alert to ALERT_WEBHOOK_URL and say what came of it; docs/alerts.md describes the body.

    Ends with status 1 when it was not acknowledged.
    """
    from hl_assets.cli.alerts import send_test  # noqa: PLC0415

    raise typer.Exit(send_test(_values(source=source)))


@alerts_app.command(
    "list",
    epilog="Examples: `hl-assets alerts list`, `hl-assets alerts list --rows 100 --json --source live`",
)
def alerts_list(
    rows: Annotated[int, typer.Option(help="Alerts to print, the newest first.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    source: SourceOption = None,
) -> None:
    """Print the delivered alerts of the ledger, newest first."""
    from hl_assets.cli.alerts import list_alerts  # noqa: PLC0415

    list_alerts(_values(source=source), rows, as_json=as_json)


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"hl_assets {__version__}\n")


def _values(**options: object) -> dict[str, object]:
    """The options that were given, as settings by field name."""
    given = {name: value for name, value in options.items() if value is not None}
    return {name: value.value if isinstance(value, StrEnum) else value for name, value in given.items()}


def main() -> None:
    """Run the command line; known errors end it with one readable message and status 2."""
    from hl_assets.cli.errors import CommandError, known_errors  # noqa: PLC0415

    try:
        app()
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}"
            for e in error.errors(include_input=False)
        ]
        _fail("a setting is not allowed:\n  " + "\n  ".join(lines))
    except Exception as error:
        if not isinstance(error, (CommandError, *known_errors())):
            raise
        _fail(str(error))


def _fail(message: str) -> None:
    Console(stderr=True).print(
        f"error: {harmless(message)}", style="red", markup=False, highlight=False, soft_wrap=True
    )
    raise SystemExit(2)
