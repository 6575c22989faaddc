"""Alerts as sensors and the command line see them: the webhook and the limits that the settings name.

Belongs here: building those objects from settings. Does not belong here: what they do (`hl_assets.alerts`).
"""

from datetime import timedelta

from hl_assets.alerts.config import Limits, parse_after_failures, parse_kinds
from hl_assets.alerts.webhook import Webhook
from hl_assets.settings import Settings


def webhook_of(settings: Settings) -> Webhook | None:
    """The webhook that the settings name, None if they name none."""
    if settings.alert_webhook_url is None or settings.alert_webhook_secret is None:
        return None
    return Webhook(
        settings.alert_webhook_url,
        settings.alert_webhook_secret,
        timeout_seconds=settings.alert_timeout_seconds,
    )


def limits_of(settings: Settings) -> Limits:
    """What the settings find worth an alert."""
    return Limits(
        kinds=parse_kinds(settings.alert_kinds),
        repeat_after=timedelta(hours=settings.alert_repeat_hours),
        after_failures=parse_after_failures(settings.alert_after_failures),
        stale_after=timedelta(minutes=settings.freshness_fail_minutes),
        missing_slots=settings.alert_missing_slots,
        missing_within=timedelta(hours=settings.alert_missing_hours),
        min_coverage=settings.min_coverage,
        rank_jump=settings.alert_rank_jump,
        score_jump=settings.alert_score_jump,
        trust_jump=settings.alert_trust_jump,
    )
