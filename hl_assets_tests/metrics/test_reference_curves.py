"""The two reference curves of daily returns, to 1e-9: index, drawdowns, CAGR and Calmar agree with `ffn`."""

import numpy as np
import pytest

from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets_tests.equity.builders import curves


def curve_a():
    r = np.random.default_rng(7).normal(0.004, 0.03, 400)
    r[0] = -0.02
    return r


def curve_b():
    r = np.random.default_rng(11).normal(-0.001, 0.02, 200)
    r[0] = -0.05
    r[r > 0.03] = 0.03
    r[1:20] -= 0.004
    return r


REFERENCE = {
    "a": (curve_a, 1.1657338989195, -0.3823058889226, 0.1503065708406, 0.3931578748741, -0.1896277807309, 5),
    "b": (
        curve_b,
        0.6901242066495,
        -0.3157433312981,
        -0.4920266711905,
        -1.5583121555336,
        -0.3157433312981,
        1,
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("with_flows", [False, True])
def test_reference_curve(name, with_flows):
    build, end, deepest, cagr, calmar, average, episodes = REFERENCE[name]
    values, pnl = [1_000.0], [0.0]
    for place, r in enumerate(build()):
        # A flow between two days is a point of its own, here part of the day's last point: its base is the new capital.
        flow = 500.0 if with_flows and place % 20 == 7 else 0.0
        earned = (values[-1] + flow) * r
        values.append(values[-1] + flow + earned)
        pnl.append(pnl[-1] + earned)
    table = compute_wallet_metrics(curves((values, pnl)))
    assert table.values["roi"][0] + 1 == pytest.approx(end, abs=1e-9)
    assert table.values["max_drawdown"][0] == pytest.approx(deepest, abs=1e-9)
    assert table.values["cagr"][0] == pytest.approx(cagr, abs=1e-9)
    assert table.values["calmar_ratio"][0] == pytest.approx(calmar, abs=1e-9)
    assert table.values["avg_drawdown"][0] == pytest.approx(average, abs=1e-9)
    assert table.values["n_drawdowns"][0] == episodes
    assert table.values["recovery_factor"][0] == pytest.approx((end - 1) / abs(deepest), abs=1e-9)
    assert table.values["n_flows"][0] == (len(build()) // 20 if with_flows else 0)
