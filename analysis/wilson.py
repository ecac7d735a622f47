"""Small statistics: the Wilson interval, quantiles, Fisher's exact test. No dependency."""

import math

# Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


def wilson(successes, n, z=Z95):
    """Wilson score interval (low, high) of a proportion; (0, 1) when nothing was measured.

    Wilson 1927; it stays inside [0, 1] and is right at 0 and n successes, where the usual normal
    interval has width 0.
    """
    if not 0 <= successes <= n:
        raise ValueError("successes must be between 0 and n")
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    denominator = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / denominator
    half = z / denominator * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def quantile(values, q):
    """Quantile by linear interpolation between order statistics; None for no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = (len(ordered) - 1) * q
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def spread(values):
    """n, median, p10, p90, min and max of numbers, as a dict; the numbers None when n is 0."""
    values = [float(v) for v in values]
    return {"n": len(values), "median": quantile(values, 0.5), "p10": quantile(values, 0.1),
            "p90": quantile(values, 0.9), "min": min(values, default=None),
            "max": max(values, default=None)}


def fisher(k1, n1, k2, n2):
    """Two-sided p of Fisher's exact test: that k1 of n1 and k2 of n2 come from one proportion."""
    if n1 == 0 or n2 == 0:
        return 1.0
    total, hits = n1 + n2, k1 + k2
    ways = math.comb(total, hits)

    def chance(k):
        return math.comb(n1, k) * math.comb(n2, hits - k) / ways

    seen = chance(k1)
    low, high = max(0, hits - n2), min(n1, hits)
    return min(1.0, sum(p for p in map(chance, range(low, high + 1)) if p <= seen * (1 + 1e-9)))
