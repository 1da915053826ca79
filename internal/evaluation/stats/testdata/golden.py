"""Writes golden.json: what scipy and statsmodels compute, for the tests to compare with.

    python golden.py > golden.json

The bootstrap samples are drawn by Go's generator, rewritten here, so that the distributions are
the same and not only alike.
"""

import json
import math
from types import SimpleNamespace

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

MASK = (1 << 64) - 1


class PCG:
    """math/rand/v2.NewPCG(seed, 0) of Go, and Uint32N."""

    def __init__(self, seed):
        self.state = seed << 64

    def uint64(self):
        mul = (2549297995355413924 << 64) | 4865540595714422341
        inc = (6364136223846793005 << 64) | 1442695040888963407
        self.state = (self.state * mul + inc) & ((1 << 128) - 1)
        hi, lo = self.state >> 64, self.state & MASK
        hi ^= hi >> 32
        hi = hi * 0xDA942042E4DD58B5 & MASK
        hi ^= hi >> 48
        return hi * (lo | 1) & MASK

    def below(self, n):
        if n & (n - 1) == 0:
            return self.uint64() & (n - 1)
        while True:
            product = self.uint64() * n
            if product & MASK >= (1 << 64) % n:
                return product >> 64


def means(values, resamples, seed):
    rng, n = PCG(seed), len(values)
    return np.array([sum(values[rng.below(n)] for _ in range(n)) / n for _ in range(resamples)])


def bootstrap(values, resamples, seed, level):
    values = np.array(values)
    drawn = SimpleNamespace(bootstrap_distribution=means(values, resamples, seed))
    same = stats.bootstrap((values,), np.mean, n_resamples=0, bootstrap_result=drawn, confidence_level=level, method="percentile")
    own = stats.bootstrap((values,), np.mean, n_resamples=200_000, batch=2_000, confidence_level=level, method="percentile", rng=np.random.default_rng(1))
    return {
        "values": values.tolist(), "resamples": resamples, "seed": seed, "level": level,
        "interval": list(same.confidence_interval), "other_draws": list(own.confidence_interval),
    }


def sign_flip(differences):
    total = lambda x, axis=-1: np.sum(x, axis=axis)
    p = stats.permutation_test((np.array(differences),), total, permutation_type="samples", alternative="less", n_resamples=np.inf, vectorized=True).pvalue
    return {"differences": differences, "p": float(p)}


def mcnemar_exact(worse, better):
    p = mcnemar([[0, worse], [better, 0]], exact=True).pvalue
    return {"worse": worse, "better": better, "two_sided": float(p)}


def main():
    rng = np.random.default_rng(20)
    thirds = (rng.binomial(3, 0.8, 40) - rng.binomial(3, 0.9, 40)) / 3
    few = np.array([-1, -1, -1 / 3, 1 / 3] + [0] * 28)
    latency = rng.normal(0.2, 1.0, 57).round(3)
    golden = {
        "normal": [{"p": p, "z": float(stats.norm.ppf(p))} for p in (0.005, 0.01, 0.5, 0.8, 0.975, 0.99)],
        "quantile": [
            {"values": v, "q": q, "value": float(np.percentile(v, 100 * q))}
            for v in ([1.0, 2.0, 4.0, 8.0], [3.5], list(range(11))) for q in (0, 0.01, 0.3, 0.5, 0.99, 1)
        ],
        "variance": [{"values": v, "value": float(np.var(v, ddof=1))} for v in ([1.0, 2.0, 4.0], thirds.tolist())],
        "wilson": [
            {"successes": k, "n": n, "level": level, "interval": list(map(float, proportion_confint(k, n, alpha=1 - level, method="wilson")))}
            for k, n, level in ((37, 40, 0.95), (0, 40, 0.95), (40, 40, 0.95), (28 / 3, 12, 0.95), (13, 2000, 0.95), (1, 3, 0.99))
        ],
        "bootstrap": [
            bootstrap(thirds, 4000, 1, 0.98), bootstrap(few, 4000, 7, 0.98), bootstrap(latency, 4000, 3, 0.95),
        ],
        "sign_flip": [
            sign_flip(d) for d in ([-1, -1, -1, 0, 0], [-3, -2, -2, 1, 0, -3, -1, 2], [1, 2, 3], [-5, 5], [-1, -1, -1, -1, -1, -1, -1, 1, 0, 0, 0, -2])
        ],
        "mcnemar": [mcnemar_exact(w, b) for w, b in ((7, 0), (9, 2), (5, 4))],
        "sample_size": [
            {"effect": e, "variance": v, "alpha": a, "power": p,
             "n": math.ceil(NormalIndPower(ddof=0).solve_power(effect_size=e / math.sqrt(v), alpha=a, power=p, ratio=0, alternative="larger"))}
            for e, v, a, p in ((0.10, 0.124, 0.01, 0.8), (0.05, 0.034, 0.01, 0.8), (0.20, 0.2, 0.05, 0.9))
        ],
    }
    print(json.dumps(golden, indent=1))


if __name__ == "__main__":
    main()
