"""The models the stand-in knows, in the shape of the SDK's `ModelInfo`.

Belongs here: the catalogue. Names are those the SDK 2.11 lists; dates, limits and capabilities are made up except where
the SDK itself says when a model retires.
"""

from dataclasses import dataclass
from typing import Any, Literal

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model.

    Args:
        id: What a request names.
        line: Model line.
        lifecycle: `retired` models stay in the catalogue and refuse requests.
        retires_at: RFC 3339, or None.
        structured_outputs: Whether `output_config.format` is accepted.
        effort: Whether `output_config.effort` is accepted.
        max_tokens: Largest `max_tokens`.
        max_input_tokens: Context window.
    """

    id: str
    line: Literal["haiku", "sonnet", "opus"]
    lifecycle: Literal["active", "deprecated", "retired"] = "active"
    retires_at: str | None = None
    structured_outputs: bool = True
    effort: bool = True
    max_tokens: int = 64_000
    max_input_tokens: int = 200_000

    def info(self) -> dict[str, Any]:
        """The JSON object of `GET /v1/models/{id}`."""
        effort = {name: _supported(self.effort) for name in _EFFORTS}
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.id.replace("-", " ").title(),
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": self.lifecycle,
            "line": self.line,
            "deprecated_at": None if self.lifecycle == "active" else "2026-06-01T00:00:00Z",
            "retires_at": self.retires_at,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "capabilities": {
                "batch": _supported(True),
                "citations": _supported(True),
                "code_execution": _supported(False),
                "context_management": {"supported": False},
                "effort": {"supported": self.effort, **effort},
                "image_input": _supported(True),
                "pdf_input": _supported(True),
                "server_tools": {
                    "supported": False,
                    "code_execution": _supported(False),
                    "web_search": _supported(False),
                },
                "structured_outputs": _supported(self.structured_outputs),
                "thinking": {
                    "supported": True,
                    "types": {
                        name: _supported(name != "between_tools")
                        for name in ("adaptive", "between_tools", "disabled", "enabled")
                    },
                },
            },
        }


CATALOGUE = (
    ModelCard("claude-haiku-5-5", "haiku"),
    ModelCard("claude-sonnet-5-5", "sonnet"),
    ModelCard("claude-opus-5-5", "opus"),
    ModelCard("claude-haiku-4-5", "haiku", effort=False),
    ModelCard("claude-haiku-4-5-20251001", "haiku", effort=False),
    ModelCard("claude-sonnet-4-5", "sonnet", "deprecated", "2026-11-30T00:00:00Z", effort=False),
    ModelCard(
        "claude-3-5-haiku-20241022",
        "haiku",
        "retired",
        "2026-02-19T00:00:00Z",
        structured_outputs=False,
        effort=False,
        max_tokens=8_192,
    ),
)


def _supported(value: bool) -> dict[str, bool]:
    return {"supported": value}
