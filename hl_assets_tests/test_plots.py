"""Pictures: they are PNG, small, and survive what real figures hold."""

import base64
import io
from datetime import date

import numpy as np
import pytest
from PIL import Image

from hl_assets.plots import Line, as_markdown, distribution_png, index_png, slots_png, text_chart, wallet_png

TS = (1_700_000_000_000 + np.arange(120) * 86_400_000).astype(np.int64)
INDEX = np.cumprod(1 + np.random.default_rng(5).normal(0.001, 0.02, 120))


def size_of(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


@pytest.mark.parametrize("values", [INDEX - 1, np.full(3, np.nan), np.empty(0), np.array([5.0])])
def test_distributions_of_any_slot(values: np.ndarray) -> None:
    png = distribution_png(values, -np.abs(values))
    assert size_of(png)[0] > 300
    assert len(png) < 40_000


def test_index_curves_with_wipe_outs_and_gaps() -> None:
    broken = INDEX.copy()
    broken[50:60], broken[100] = 0.0, np.nan
    png = index_png([Line("#1", TS, INDEX), Line("#2", TS, broken)], "two")
    assert len(png) < 40_000
    assert index_png([], "nobody")


def test_a_wallet_is_drawn_with_its_drawdown() -> None:
    fall = INDEX / np.maximum.accumulate(INDEX) - 1
    assert size_of(wallet_png(Line("i", TS, INDEX), Line("d", TS, fall), Line("v", TS, INDEX * 1e6)))[1] > 400


@pytest.mark.parametrize("scale", [1e-9, 1.0, 3e9])
def test_no_label_is_cut_off(scale: float) -> None:
    fall = INDEX / np.maximum.accumulate(INDEX) - 1
    value = Line("v", TS, INDEX * scale)
    pictures = [
        wallet_png(value, Line("d", TS, fall), value),
        index_png([value], "one"),
        distribution_png((INDEX - 1) * min(scale, 100.0), fall),
    ]
    for png in pictures:
        grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
        for edge in (grey[0], grey[-1], grey[:, 0], grey[:, -1]):
            assert (edge > 250).all()


def test_markdown_carries_the_picture() -> None:
    png = index_png([Line("#1", TS, INDEX)], "one")
    encoded = as_markdown(png, "curve").removeprefix("![curve](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(encoded) == png


def test_a_terminal_chart_fits_its_size_and_is_plain_text() -> None:
    chart = text_chart(Line("Return index", TS, INDEX), 90, 12)
    lines = chart.rstrip("\n").split("\n")
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 90
    assert "\x1b" not in chart
    assert "Return index" in chart


@pytest.mark.parametrize("days", [1, 31, 366])
def test_slots_are_told_apart_by_colour_and_named(days: int) -> None:
    grid = np.full((days, 144), -1, dtype=np.int8)
    grid[:, :100] = np.arange(100) // 20
    names = ["live", "unchanged", "reconstructed", "partial", "missing"]
    png = slots_png(grid, date(2025, 12, 1), names, "slots")
    image = Image.open(io.BytesIO(png)).convert("RGB")
    found = {color for _, color in image.getcolors(1_000_000)}  # type: ignore[union-attr]
    wanted = [(0, 114, 178), (86, 180, 233), (240, 228, 66), (230, 159, 0), (0, 0, 0)]
    assert all(
        min(sum(abs(a - b) for a, b in zip(want, have, strict=True)) for have in found) < 24
        for want in wanted
    )
    assert len(png) < 60_000
