"""Wilson's interval, quantiles and Fisher's test against known values; agreement of voices."""

import pytest

from analysis.agreement import verdict
from analysis.wilson import fisher, quantile, spread, wilson


# Newcombe 1998, table I, method 3 (Wilson's score interval, 95 %).
@pytest.mark.parametrize("k, n, low, high", [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                             (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)])
def test_wilson_known(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_edges():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0 and wilson(10, 10)[0] == pytest.approx(0.7225, abs=1e-4)
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_fisher_known():
    assert fisher(3, 4, 1, 4) == pytest.approx(0.4857, abs=1e-4)  # the lady tasting tea, two-sided
    assert fisher(1, 12, 9, 12) == pytest.approx(0.002759, abs=1e-6)
    assert fisher(0, 0, 1, 2) == 1.0


def test_quantiles():
    assert quantile([4, 1, 3, 2], 0.5) == 2.5 and quantile([], 0.5) is None
    assert spread([])["median"] is None and spread(range(11))["p90"] == 9


@pytest.mark.parametrize("tallies, word", [
    ({"ns3": (10, 10), "linux": (3, 3)}, "agree"),
    ({"ns3": (0, 10), "linux": (0, 3)}, "agree"),
    ({"ns3": (10, 10), "linux": (0, 3)}, "disagree"),
    ({"ns3": (10, 10), "linux": (2, 3)}, "unsteady"),
    ({"ns3": (200, 200), "linux": (150, 200)}, "disagree"),
    ({"ns3": (190, 200), "linux": (9, 10)}, "agree"),
    ({"ns3": (10, 10), "linux": (0, 0)}, "alone"),
    ({"ns3": (0, 0), "linux": (0, 0)}, "nothing"),
    ({"ns3": (10, 10), "linux": (3, 3), "kernel": (0, 3)}, "disagree")])
def test_verdicts(tallies, word):
    assert verdict(tallies) == word
