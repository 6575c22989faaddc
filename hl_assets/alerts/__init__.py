"""Alerts: what is worth telling a person, when it is told, and how it gets to a webhook.

Belongs here: conditions, the state that keeps a fact from being told twice, signing and delivery; no Dagster. Does not belong
here: when this is evaluated (`hl_assets.sensors`), settings (`hl_assets.resources.alerts`).

| module | what belongs there |
|---|---|
| `alert` | an alert, a message about it, and the JSON body |
| `config` | which alerts, which thresholds, what the settings' texts mean |
| `conditions`, `runs`, `wallets` | pure functions from facts to alerts |
| `reading` | the facts, from the warehouse |
| `state`, `turning` | what is open and what waits to be delivered; how one evaluation leads to the next |
| `signing`, `webhook` | Standard Webhooks over HTTP |
| `evaluation` | one evaluation from beginning to end, within bounded time |
| `record` | the ledger of what was delivered |
"""
