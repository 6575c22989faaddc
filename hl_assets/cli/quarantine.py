"""`hl-assets quarantine`: slots that could not be derived, and accepting that some are missing.

Belongs here: what this command says. Does not belong here: the ledger (`assets.quarantine`).
"""

from rich.table import Table

from hl_assets.assets.quarantine import SetAside, read_set_aside, waive
from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.settings import Settings
from hl_assets.slots import day_of, parse_slot, slot_text

console = make_console()


def run_quarantine(
    values: dict[str, object], slot: str | None, table: str | None, reason: str | None
) -> None:
    """Print what is set aside, or waive a slot.

    Raises:
        CommandError: The slot is not in quarantine, or no reason is given.
    """
    settings = Settings.load(**values)
    with WarehouseResource.from_settings(settings).open("", "quarantine") as session:
        found = read_set_aside(session.store, table or "")
        if slot is None:
            _show(found)
            return
        wanted = parse_slot(slot)
        chosen = [one for one in found if one.slot == wanted and not one.waived]
        if not chosen:
            raise CommandError(
                f"{slot_text(wanted)} is not in quarantine; `hl-assets quarantine` lists what is"
            )
        if not (reason or "").strip():
            raise CommandError("--waive needs --reason: why it is all right that the slot stays missing")
        for one in chosen:
            waive(session.store, one, str(reason), now=settings.now())
            console.print(
                f"{one.table} of {slot_text(wanted)} is waived: {reason}", markup=False, highlight=False
            )


def _show(found: list[SetAside]) -> None:
    if not found:
        console.print("No slot is in quarantine.")
        return
    rows = Table(title="Slots set aside", title_justify="left", header_style="bold")
    for name in ("slot", "table", "state", "since", "why"):
        rows.add_column(name, overflow="fold")
    for one in found:
        state = "waived" if one.waived else "quarantined"
        rows.add_row(slot_text(one.slot), one.table, state, slot_text(one.recorded_at), _plain(one.reason))
    console.print(rows)
    unresolved = [one for one in found if not one.waived]
    if unresolved:
        first, last = day_of(unresolved[0].slot), day_of(unresolved[-1].slot)
        console.print(
            f"Mend the cause and replay: hl-assets backfill --from {first} --to {last}. Or accept the loss: hl-assets "
            f"quarantine --waive {slot_text(unresolved[0].slot)} --reason WHY",
            highlight=False,
            soft_wrap=True,
        )


def _plain(text: str) -> str:
    """An error's text, with nothing in it that the terminal would take for markup or control."""
    return "".join(char if char.isprintable() else " " for char in text).replace("[", r"\[")
