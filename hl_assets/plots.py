"""Pictures of what is computed: PNG for Dagster's UI and files, text for terminals.

Belongs here: drawing. Does not belong here: reading tables, computing what is drawn, Dagster.

matplotlib is imported when something is drawn: it takes half a second and writes a cache into the user's home, and the
code location is loaded far more often than it draws.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import plotext

from hl_assets.equity.ragged import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 80
_COLOURS = 48
_UP, _DOWN = "#1f6f8b", "#b23a48"
_SCORE_COLOURS = ("#b23a48", "#d98e73", "#cccccc", "#7fb3c8", "#1f6f8b")
_STATUS_COLOURS = ("#0072b2", "#56b4e9", "#f0e442", "#e69f00", "#000000")
"""Okabe and Ito's palette, told apart with every kind of colour vision; what is missing is black."""
_MARGINS = {"left": 1.05, "right": 0.15, "top": 0.3, "bottom": 0.35}
"""Inches around the axes, enough for labels as long as 1,000,000,000. matplotlib's layout engines take longer than the drawing (measured)."""


@dataclass(frozen=True)
class Line:
    """One curve to draw.

    Attributes:
        label: What it is; plain text.
        ts_ms: int64[k], UTC milliseconds.
        values: float64[k]; NaN leaves a gap.
    """

    label: str
    ts_ms: IntArray
    values: FloatArray

    @property
    def instants(self) -> npt.NDArray[np.datetime64]:
        """The instants, UTC."""
        return self.ts_ms.astype("datetime64[ms]")


def distribution_png(roi: FloatArray, max_drawdown: FloatArray) -> bytes:
    """Histograms of ROI and max drawdown over the wallets of a slot; nulls are left out and counted.

    Args:
        roi: float64[n], fractions. The two tails beyond the 2nd and 98th percentile are gathered at the edges.
        max_drawdown: float64[n], fractions, <= 0.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter  # noqa: PLC0415

    figure = _figure(8, 2.6)
    for axes, name, values, color in zip(
        figure.subplots(1, 2), ("ROI", "max drawdown"), (roi, max_drawdown), (_UP, _DOWN), strict=True
    ):
        known = values[~np.isnan(values)]
        if len(known):
            low, high = np.percentile(known, [2, 98])
            counts, edges = np.histogram(np.clip(known, low, high), bins=30)
            axes.stairs(counts, edges, fill=True, color=color)
            axes.axvline(float(np.median(known)), color="black", linewidth=1)
        _title(axes, f"{name}: {len(known)} wallets, {len(values) - len(known)} unknown", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # more labels would run into each other
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.tick_params(labelsize=8)
    return _png(figure)


def grades_png(styles: Mapping[str, int], scores: Mapping[str, Mapping[float, int]]) -> bytes:
    """How grades are distributed: styles, and the discrete scores of each metric.

    Args:
        styles: Style -> wallets.
        scores: Metric -> score (20 to 100) -> wallets.
    """
    figure = _figure(8, 2.6)
    figure.subplots_adjust(left=0.17, wspace=0.45, bottom=0.24)  # room for styles, metrics and the legend
    left, right = figure.subplots(1, 2)
    left.barh(list(styles)[::-1], list(styles.values())[::-1], color=_UP)
    _title(left, "styles", fontsize=9)
    bottom = np.zeros(len(scores))
    for score, color in zip((20.0, 40.0, 60.0, 80.0, 100.0), _SCORE_COLOURS, strict=True):
        counts = np.array([by_score.get(score, 0) for by_score in scores.values()], dtype=np.float64)
        right.barh(list(scores), counts, left=bottom, color=color, label=f"{score:.0f}")
        bottom += counts
    _title(right, "scores", fontsize=9)
    right.legend(fontsize=6, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    for axes in (left, right):
        axes.tick_params(labelsize=7)
    return _png(figure)


def index_png(lines: Sequence[Line], title: str) -> bytes:
    """Return indices on one logarithmic axis."""
    figure = _figure(8, 3.2)
    axes = figure.subplots()
    for line in lines:
        axes.plot(
            line.instants, np.where(line.values > 0, line.values, np.nan), linewidth=1, label=line.label
        )
    _log_axis(axes)
    _title(axes, title, fontsize=9)
    if lines:
        axes.legend(fontsize=6, ncols=2)
    return _png(figure)


def wallet_png(index: Line, drawdown: Line, account_value: Line) -> bytes:
    """One wallet: return index, drawdown and account value, one below the other on one time axis."""
    from matplotlib.ticker import FuncFormatter, PercentFormatter  # noqa: PLC0415

    figure = _figure(9, 7)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    top.plot(index.instants, np.where(index.values > 0, index.values, np.nan), color=_UP, linewidth=1.2)
    _log_axis(top)
    _title(top, index.label, fontsize=10)
    middle.fill_between(drawdown.instants, drawdown.values, 0, color=_DOWN, alpha=0.6, linewidth=0)
    middle.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    _title(middle, drawdown.label, fontsize=10)
    bottom.plot(account_value.instants, account_value.values, color="#555555", linewidth=1)
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _title(bottom, account_value.label, fontsize=10)
    for axes in (middle, bottom):
        axes.tick_params(labelsize=8)
    return _png(figure)


def slots_png(grid: npt.NDArray[np.int8], first: date, statuses: Sequence[str], title: str) -> bytes:
    """A heat map of what became of slots: a row per UTC day, the newest at the bottom, a column per 10-minute slot.

    Args:
        grid: int8[days, 144]: index into `statuses`; -1 is left blank.
        first: Day of the first row.
        statuses: Names for the legend, at most five, best first.
        title: Title.
    """
    from matplotlib.colors import ListedColormap  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    days, slots = grid.shape
    figure = _figure(9, min(max(1.5, 0.95 + 0.12 * days), 12))
    bottom = 0.7 / figure.get_figheight()  # room for hours and the legend
    figure.subplots_adjust(bottom=bottom, top=1 - 0.3 / figure.get_figheight())
    axes = figure.subplots()
    colors = ListedColormap(["#ffffff", *_STATUS_COLOURS[: len(statuses)]])
    axes.imshow(
        grid, cmap=colors, vmin=-1.5, vmax=len(statuses) - 0.5, aspect="auto", interpolation="nearest"
    )
    axes.set_xticks(np.arange(0, slots + 1, slots // 8) - 0.5, [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    step = max(1, -(-days // 30))
    rows = range(0, days, step)
    axes.set_yticks(list(rows), [(first + timedelta(days=row)).isoformat() for row in rows])
    axes.tick_params(labelsize=7)
    _title(axes, title, fontsize=9)
    patches = [Patch(color=color, label=name) for name, color in zip(statuses, _STATUS_COLOURS, strict=False)]
    anchor = (0.5, -0.42 / (figure.get_figheight() * (1 - bottom) - 0.3))
    axes.legend(handles=patches, fontsize=7, ncols=5, loc="center", bbox_to_anchor=anchor, frameon=False)
    return _png(figure)


def text_chart(line: Line, width: int, height: int) -> str:
    """A curve drawn with characters, for a terminal.

    Args:
        line: The curve.
        width: Cells.
        height: Lines.
    """
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.date_form("Y-m-d")
    known = ~np.isnan(line.values)
    days = np.datetime_as_string(line.instants[known], unit="D")
    plotext.plot(days.tolist(), line.values[known].tolist(), marker="braille")
    plotext.title(line.label)
    return str(plotext.uncolorize(plotext.build()))


def as_markdown(png: bytes, alternative: str) -> str:
    """An image as Markdown that carries its own bytes, as Dagster's UI shows it."""
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def _figure(width: float, height: float) -> "Figure":
    """A figure with fixed margins; width and height in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=_MARGINS["left"] / width,
        right=1 - _MARGINS["right"] / width,
        top=1 - _MARGINS["top"] / height,
        bottom=_MARGINS["bottom"] / height,
        hspace=0.25,
    )
    return figure


def _title(axes: "Axes", text: str, *, fontsize: int) -> None:
    """A title at the top of the axes; matplotlib would look for the place, which takes longer than writing it (measured)."""
    axes.set_title(text, fontsize=fontsize, y=1.0)


def _log_axis(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, alpha=0.3)
    axes.tick_params(labelsize=8)


def _png(figure: "Figure") -> bytes:
    """The figure in few colours: Dagster stores a tick's pictures with its events, and ticks are many."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    figure.set_dpi(_DPI)
    canvas, small = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    drawn = Image.fromarray(pixels).convert("RGB")
    drawn.quantize(_COLOURS).save(small, format="png", compress_level=6)  # 9: 4% smaller, 7 times longer
    return small.getvalue()
