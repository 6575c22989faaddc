"""The vocabularies are closed and explained."""

from hl_assets.coverage.vocabulary import CAUSES, COVERED, STATUS_MEANINGS, Cause, Status
from hl_assets_tests.conftest import REPOSITORY


def test_every_cause_and_status_has_its_words() -> None:
    assert set(CAUSES) == set(Cause)
    assert set(STATUS_MEANINGS) == set(Status)
    assert set(Status) > COVERED


def test_the_page_explains_every_value_in_the_same_words() -> None:
    page = (REPOSITORY / "docs" / "coverage.md").read_text(encoding="utf-8")
    for status, meaning in STATUS_MEANINGS.items():
        assert f"| `{status}` | {meaning} |" in page
    for cause, text in CAUSES.items():
        assert f"| `{cause}` | {text.meaning} | {text.advice} |" in page
