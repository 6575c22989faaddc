"""The definitions again, for one wallet, in plain Python: what the vectorised code is compared with.

Written from the definitions, point by point, without sharing any code with the package.
"""

import itertools
import math

from hl_assets_tests.metrics.scalar_daily import daily_metrics

DAY_MS = 86_400_000
YEAR_MS = 31_557_600_000
COUNTS = (
    "data_points",
    "n_flows",
    "n_epochs",
    "n_wipeouts",
    "n_drawdowns",
    "n_unknown_returns",
    "n_contradictions",
    "n_daily_steps",
)
FLOOR, NOISE_USD, NOISE_SHARE, CEILING, DOMINATED = 10.0, 1.0, 1e-6, 10.0, 0.5


def _return(before, now, earned, flow, base):
    """Return of a step, whether it was cut to the ceiling, and whether it is unknown."""
    if base < FLOOR:
        return 0.0, False, False
    if now <= 0 and flow >= 0:
        return -1.0, False, False
    r = earned / base
    if now < 0 and r > -1:
        return math.nan, False, True
    if r > CEILING:
        return CEILING, True, False
    return max(r, -1.0), False, False


def _step(before, now, earned):
    """One step's return, flow and flags."""
    flow = (now - before) - earned
    if abs(flow) < max(NOISE_USD, NOISE_SHARE * max(abs(before), abs(now))):
        flow = 0.0
    base = before + max(flow, 0.0)
    r, clipped, unknown = _return(before, now, earned, flow, base)
    return {
        "r": r,
        "flow": flow,
        "clipped": clipped,
        "no_base": base < FLOOR,
        "unknown": unknown,
        "wiped": r == -1.0,
        "dominated": base >= FLOOR and abs(flow) >= DOMINATED * base,
    }


def _steps(values, pnl):
    """Return, flow and flags per step, and the index, epoch and life of each funded point."""
    steps, index, epoch, life = [], [1.0], [1], [1]
    ended = wiped = False
    for i in range(1, len(values)):
        step = _step(values[i - 1], values[i], pnl[i] - pnl[i - 1])
        steps.append(step)
        holds = values[i] >= FLOOR and not step["wiped"]
        epoch.append(epoch[-1] + (holds and ended))
        life.append(life[-1] + (holds and wiped))
        index.append(1.0 if holds and wiped else index[-1] * (1.0 + step["r"]))
        ended = step["wiped"] or values[i] <= 0 or (ended and not holds)
        wiped = step["wiped"] or (wiped and not holds)
    return steps, index, epoch, life


def _annual(index_end, span_ms):
    try:
        return index_end ** (YEAR_MS / span_ms) - 1.0
    except OverflowError:
        return None


def _lows_and_deepest(index, life):
    """Lows of the drawdown episodes and the deepest drawdown."""
    lows, deepest, low, top = [], 0.0, None, 1.0
    for i, value in enumerate(index):
        if i and life[i] != life[i - 1]:
            if low is not None:
                lows.append(low)
            low, top = None, 1.0
        if math.isnan(value):
            continue
        top = max(top, value)
        fall = value / top - 1.0
        if fall < -1e-9:
            low = fall if low is None else min(low, fall)
            deepest = min(deepest, fall)
        elif low is not None:
            lows.append(low)
            low = None
    if low is not None:
        lows.append(low)
    return lows, deepest


def metrics_of(ts, values, pnl):
    """Every metric of one wallet; absent where null."""
    start = next((i for i, value in enumerate(values) if value >= FLOOR), len(values))
    ts, values, pnl = list(ts[start:]), list(values[start:]), list(pnl[start:])
    result = dict.fromkeys(COUNTS, 0) | {"data_points": len(values)}
    if not values:
        return result
    steps, index, epoch, life = _steps(values, pnl)
    born = life.index(life[-1])
    result |= {
        "account_value": values[-1],
        "data_span_days": (ts[-1] - ts[0]) / DAY_MS,
        "performance_span_days": (ts[-1] - ts[born]) / DAY_MS,
        "first_ts_ms": ts[0],
        "last_ts_ms": ts[-1],
        "performance_start_ms": ts[born],
        "n_epochs": epoch[-1],
        "n_wipeouts": sum(step["wiped"] for step in steps),
        "n_unknown_returns": sum(step["unknown"] for step in steps),
        "n_flows": sum(step["flow"] != 0 for step in steps),
    }
    if len(values) - born >= 2 and not math.isnan(index[-1]):
        result["roi"] = index[-1] - 1.0
        result["cagr" if result["performance_span_days"] >= 90 else "cagr_short"] = _annual(
            index[-1], ts[-1] - ts[born]
        )
    if len(values) >= 2:
        result |= _drawdowns(index, life, result)
        result |= _dollars(values, pnl, steps)
        result |= _quality(ts, steps)
        result |= _under_water(ts, index, life)
    if len(values) - born >= 2:
        result |= daily_metrics(ts[born:], index[born:])
    return {name: value for name, value in result.items() if value is not None}


def _drawdowns(index, life, so_far):
    lows, deepest = _lows_and_deepest(index, life)
    known = not any(math.isnan(value) for value in index)
    found = {"n_drawdowns": len(lows)}
    if so_far["n_wipeouts"]:
        found["max_drawdown"] = -1.0
    elif known:
        found["max_drawdown"] = deepest
    if known:
        found["avg_drawdown"] = sum(lows) / len(lows) if lows else 0.0
    if found.get("max_drawdown"):
        for ratio, growth in (("calmar_ratio", "cagr"), ("recovery_factor", "roi")):
            if so_far.get(growth) is not None:
                found[ratio] = so_far[growth] / abs(found["max_drawdown"])
    return found


def _under_water(ts, index, life):
    """Ulcer index and share of time below the maximum."""
    square = below = total = 0.0
    top = 1.0
    for i in range(1, len(ts)):
        if life[i] != life[i - 1]:
            top = 1.0
            continue
        if math.isnan(index[i]):
            return {}
        top = max(top, index[i])
        fall = index[i] / top - 1.0
        fall = fall if fall < -1e-9 else 0.0
        hours = (ts[i] - ts[i - 1]) / 3_600_000
        total += hours
        square += hours * fall**2
        below += hours * (fall < 0)
    return {"ulcer_index": math.sqrt(square / total), "time_under_water": below / total} if total else {}


def _dollars(values, pnl, steps):
    top, fall = pnl[0], 0.0
    high, raw_fall = values[0], 0.0
    for earned, value in zip(pnl, values, strict=True):
        top, high = max(top, earned), max(high, value)
        fall, raw_fall = max(fall, top - earned), min(raw_fall, value / high - 1.0)
    has_fall = fall > max(1e-6, 8 * 2.220446049250313e-16 * max(abs(each) for each in pnl))
    return {
        "total_pnl": pnl[-1] - pnl[0],
        "recovery_usd": (pnl[-1] - pnl[0]) / fall if has_fall else None,
        "net_flow": math.fsum(step["flow"] for step in steps),
        "gross_flow": math.fsum(abs(step["flow"]) for step in steps),
        "roi_account_value": values[-1] / values[0] - 1.0,
        "max_drawdown_account_value": raw_fall,
    }


def _quality(ts, steps):
    gaps = [(later - sooner) / 3_600_000 for sooner, later in itertools.pairwise(ts)]
    mean = sum(gaps) / len(gaps)
    cv = 100 * math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean if len(gaps) > 1 else None
    return {
        "avg_interval_hours": mean,
        "largest_gap_hours": max(gaps),
        "interval_cv_percent": cv,
        "is_uniform": None if cv is None else float(cv < 5.0),
        "share_flow_dominated": sum(step["dominated"] for step in steps) / len(steps),
        "share_clipped": sum(step["clipped"] for step in steps) / len(steps),
        "share_no_base": sum(step["no_base"] for step in steps) / len(steps),
        "share_clean_steps": sum(
            not any(step[name] for name in ("dominated", "clipped", "no_base", "unknown")) for step in steps
        )
        / len(steps),
    }
