"""Golden numbers of the tests of comparison and the decision scores, made by outside programs.

Inputs are drawn here and stored beside the answers in expected_compare.json, so the Rust tests read one file.

pip install numpy scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1 scikit-posthocs==0.17.1 \
            dieboldmariano==1.1.0 MLstatkit==0.1.91 baycomp==1.0.3 vus==0.0.6
python3 make_compare.py
"""

import itertools
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import special as sp
from scipy import stats

HERE = Path(__file__).parent
LEVEL = 0.95


def plain(value):
    """Numbers that json can write, with nothing lost."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        assert np.isfinite(value), value
        return float(value)
    return value


def special():
    dfs = [1.0, 2.0, 4.5, 30.0, 1e3, 1e6]
    return {
        "beta": [[a, b, x, sp.betainc(a, b, x)]
                 for a, b in [(0.5, 0.5), (2.0, 3.0), (0.5, 40.0), (300.0, 7.0), (5e3, 5e3), (2e5, 9e5)]
                 for x in [1e-6, 0.01, 0.18, 0.5, 0.77, 0.99]],
        "beta_quantile": [[p, a, b, sp.betaincinv(a, b, p)]
                          for p in [1e-4, 0.025, 0.5, 0.975] for a, b in [(1.0, 59.0), (3.0, 1e4), (40.0, 2.5), (1e3, 1e3)]],
        "student_two_sided": [[t, df, 2 * stats.t.sf(t, df)] for t in [1e-3, 0.7, 2.3, 9.0, 40.0] for df in dfs],
        "student_quantile": [[p, df, stats.t.ppf(p, df)] for p in [1e-6, 0.025, 0.3, 0.6, 0.995] for df in dfs],
        "binomial_cdf": [[k, n, p, stats.binom.cdf(k, n, p)]
                         for k, n, p in [(0, 5, 0.3), (4, 9, 0.5), (12, 100, 0.2), (499, 1000, 0.5), (3, 10**6, 1e-6)]],
        "studentised_range": [[q, k, stats.studentized_range.sf(q, k, np.inf)] for q in [0.5, 2.0, 3.5, 6.0] for k in [2, 3, 5, 10]],
        "studentised_range_quantile": [[p, k, stats.studentized_range.ppf(p, k, np.inf)] for p in [0.9, 0.95, 0.99] for k in [2, 4, 10]],
    }


def placements(positive, score):
    """DeLong's structural components straight from their definition, pair by pair."""
    x, y = score[positive], score[~positive]
    psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return psi.mean(axis=1), psi.mean(axis=0)


def delong(rng):
    from MLstatkit import Delong_test
    from sklearn.metrics import roc_auc_score

    cases = []
    for rows, decimals, gap in [(60, 1, 0.4), (250, 1, 0.1), (400, 6, 0.3)]:
        positive = rng.random(rows) < 0.3
        signal = rng.normal(size=rows) + 1.2 * positive
        a = np.round(signal + 0.4 * rng.normal(size=rows), decimals)
        b = np.round(signal + (0.4 + gap) * rng.normal(size=rows), decimals)
        (a10, a01), (b10, b01) = placements(positive, a), placements(positive, b)
        m, n = positive.sum(), (~positive).sum()
        cov = np.cov(np.vstack([a10, b10])) / m + np.cov(np.vstack([a01, b01])) / n
        auc_a, auc_b = a10.mean(), b10.mean()
        assert abs(auc_a - roc_auc_score(positive, a)) < 1e-12 and abs(auc_b - roc_auc_score(positive, b)) < 1e-12
        se = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
        z = (auc_a - auc_b) / se
        p = 2 * stats.norm.sf(abs(z))
        outside = Delong_test(positive.astype(int), a, b)
        assert abs(abs(outside[0]) - abs(z)) < 1e-8 and abs(outside[1] - p) < 1e-8, (outside, z, p)
        factor = stats.norm.ppf(0.5 + LEVEL / 2)
        cases.append({
            "positive": positive, "a": a, "b": b, "auc_a": roc_auc_score(positive, a), "auc_b": roc_auc_score(positive, b),
            "standard_error": se, "statistic": z, "p_value": p,
            "low": auc_a - auc_b - factor * se, "high": auc_a - auc_b + factor * se,
            "low_a": max(0, auc_a - factor * np.sqrt(cov[0, 0])), "high_a": min(1, auc_a + factor * np.sqrt(cov[0, 0])),
        })
    return cases


def diebold_mariano(rng):
    from dieboldmariano import dm_test

    cases = []
    for rows, horizon, window in [(12, 1, "acf"), (60, 3, "acf"), (60, 3, "bartlett"), (150, 7, "bartlett")]:
        shared = rng.gamma(2.0, size=rows)
        a = shared + 0.3 * rng.random(rows)
        b = shared + 0.2 + 0.4 * rng.random(rows) + 0.1 * np.sin(np.arange(rows) / 3)
        statistic, p = dm_test([0.0] * rows, list(a), list(b), loss=lambda _, loss: loss, h=horizon, variance_estimator=window)
        cases.append({"a": a, "b": b, "horizon": horizon, "window": window, "statistic": statistic, "p_value": p})
    return cases


def mcnemar():
    from statsmodels.stats.contingency_tables import mcnemar as test

    cases = []
    for only_a, only_b in [(1, 7), (10, 3), (12, 12), (0, 6), (15, 35), (41, 20), (26, 27)]:
        exact = only_a + only_b < 25
        p = test([[40, only_a], [only_b, 30]], exact=exact, correction=True).pvalue
        cases.append({"only_a": only_a, "only_b": only_b, "rows": 70 + only_a + only_b, "exact": exact, "p_value": min(p, 1.0)})
    return cases


def marginal_homogeneity():
    from statsmodels.stats.contingency_tables import SquareTable

    cases = []
    for table in [
        [[20, 10, 5], [3, 30, 15], [0, 5, 40]],
        [[11, 4, 2, 1], [9, 30, 6, 3], [4, 1, 25, 7], [0, 2, 3, 12]],
        [[5, 9], [2, 30]],
    ]:
        result = SquareTable(np.array(table, dtype=float), shift_zeros=False).homogeneity(method="stuart_maxwell")
        cases.append({"table": table, "statistic": result.statistic, "df": result.df, "p_value": result.pvalue})
    return cases


def folds(rng):
    from baycomp import CorrelatedTTest

    cases = []
    for k, rope in [(5, 0.01), (10, 0.01), (10, 0.0)]:
        a = 0.8 + 0.02 * rng.normal(size=k)
        b = a - 0.012 + 0.015 * rng.normal(size=k)
        d = a - b
        test, train = 20, 20 * (k - 1)
        se = np.sqrt(d.var(ddof=1) * (1 / k + test / train))
        t = d.mean() / se
        reach = stats.t.ppf(0.5 + LEVEL / 2, k - 1) * se
        # baycomp names the first method "left": its probability is that a is larger by more than the rope.
        posterior = CorrelatedTTest.probs(a, b, rope=rope)
        a_larger, within, b_larger = posterior if rope > 0 else (posterior[0], 0.0, posterior[1])
        cases.append({
            "differences": d, "test": test, "train": train, "standard_error": se, "statistic": t,
            "p_value": 2 * stats.t.sf(abs(t), k - 1), "low": d.mean() - reach, "high": d.mean() + reach,
            "correlation": 1 / k, "rope": rope, "above": a_larger, "within": within, "below": b_larger,
        })
    return cases


def paired_t(rng):
    from statsmodels.stats.weightstats import ttost_paired

    cases = []
    for n, gap, margin in [(5, 0.3, 0.5), (30, 0.02, 0.3), (200, 0.1, 0.3)]:
        shared = rng.normal(size=n)
        a, b = shared + gap + 0.3 * rng.normal(size=n), shared + 0.3 * rng.normal(size=n)
        result = stats.ttest_rel(a, b)
        interval = result.confidence_interval(LEVEL)
        cases.append({
            "a": a, "b": b, "statistic": result.statistic, "p_value": result.pvalue, "low": interval.low, "high": interval.high,
            "margin": margin, "equality_p": ttost_paired(a, b, -margin, margin)[0],
        })
    return cases


def walsh_interval(d, alpha):
    """The shifts that the exact test does not reject, found by running it between neighbouring pairwise averages."""
    walsh = np.sort([(d[i] + d[j]) / 2 for i in range(len(d)) for j in range(i, len(d))])
    kept = [k for k in range(len(walsh) - 1)
            if walsh[k] < walsh[k + 1]
            and stats.wilcoxon(d - (walsh[k] + walsh[k + 1]) / 2, method="exact").pvalue > alpha]
    return np.median(walsh), walsh[kept[0]], walsh[kept[-1] + 1]


def signed_permutations(d):
    """Exact p with ties: all signs of the midranks."""
    d = d[d != 0]
    ranks = stats.rankdata(abs(d))
    seen = ranks[d > 0].sum()
    sums = np.array([np.dot(ranks, signs) for signs in itertools.product([0, 1], repeat=len(d))])
    return min(1.0, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean()))


def wilcoxon(rng):
    cases = []
    for n, decimals in [(6, 9), (14, 9), (45, 9)]:
        a = rng.random(n)
        b = np.round(a - 0.04 + 0.15 * rng.normal(size=n), decimals)
        estimate, low, high = walsh_interval(a - b, 1 - LEVEL)
        cases.append({"a": a, "b": b, "exact": True, "p_value": stats.wilcoxon(a, b, method="exact").pvalue,
                      "estimate": estimate, "low": low, "high": high})
    for n in [8, 13]:
        # Eighths are exact in binary, so ties and zeros are ties and zeros.
        a = rng.integers(0, 8, n) / 8
        b = rng.integers(0, 8, n) / 8
        cases.append({"a": a, "b": b, "exact": True, "p_value": signed_permutations(a - b)})
    a = rng.integers(0, 64, 160) / 8
    b = a + rng.integers(-20, 26, 160) / 8
    cases.append({"a": a, "b": b, "exact": False,
                  "p_value": stats.wilcoxon(a, b, method="asymptotic", correction=True).pvalue})
    return cases


def adjust(rng):
    from statsmodels.stats.multitest import multipletests

    p = np.concatenate([rng.random(8), rng.random(6) ** 4, [0.03, 0.03, 0.0, 1.0]])
    return {"p": p, "holm": multipletests(p, method="holm")[1], "bh": multipletests(p, method="fdr_bh")[1]}


def binomial():
    from statsmodels.stats.proportion import proportion_confint

    cases = []
    for k, n in [(0, 10), (1, 10), (10, 10), (37, 250), (3, 100_000), (499_000, 1_000_000)]:
        low, high = proportion_confint(k, n, alpha=1 - LEVEL, method="beta")
        cases.append({
            "k": k, "n": n, "low": low if k else 0.0, "high": high if k < n else 1.0,
            "upper": stats.binomtest(k, n, alternative="less").proportion_ci(LEVEL, "exact").high,
            "lower": stats.binomtest(k, n, alternative="greater").proportion_ci(LEVEL, "exact").low,
        })
    return cases


def friedman(rng):
    import scikit_posthocs

    cases = []
    for n, k, step in [(12, 4, 0), (20, 5, 4)]:
        losses = rng.random((n, k)) + 0.15 * np.arange(k)
        if step:
            losses = np.round(losses * step) / step
        statistic, p = stats.friedmanchisquare(*losses.T)
        cases.append({
            "losses": losses, "mean_ranks": stats.rankdata(losses, axis=1).mean(axis=0), "statistic": statistic, "p_value": p,
            "pairs": scikit_posthocs.posthoc_nemenyi_friedman(losses).to_numpy(),
            "critical_difference": stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)),
        })
    return cases


def bca(rng):
    cases = []
    for n, level in [(12, 0.9), (30, 0.95)]:
        d = rng.gamma(1.0, size=n) - 0.7
        result = stats.bootstrap((d,), np.mean, n_resamples=399, confidence_level=level, method="BCa", rng=rng)
        cases.append({
            "estimate": d.mean(), "replicates": result.bootstrap_distribution,
            "left_out": [np.delete(d, i).mean() for i in range(n)], "level": level,
            "low": result.confidence_interval.low, "high": result.confidence_interval.high,
        })
    return cases


def classification(rng):
    from sklearn import metrics

    truth = rng.integers(0, 4, 90)
    logits = rng.normal(size=(90, 5)) + 1.5 * np.eye(5)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = p.argmax(axis=1)
    with warnings.catch_warnings():
        # Class 4 is predicted and never true: scikit-learn says so.
        warnings.simplefilter("ignore")
        return {
            "truth": truth, "predicted": predicted, "probabilities": p, "classes": 5,
            "confusion": metrics.confusion_matrix(truth, predicted, labels=range(5)),
            "macro_f1": metrics.f1_score(truth, predicted, average="macro", zero_division=0),
            "f1": metrics.f1_score(truth, predicted, average=None, labels=range(5), zero_division=0),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
            "accuracy": metrics.accuracy_score(truth, predicted),
            "log_loss": metrics.log_loss(truth, p, labels=range(5)),
            "top": [[k, metrics.top_k_accuracy_score(truth, p, k=k, labels=range(5))] for k in [1, 2, 3]],
            "mrr": metrics.label_ranking_average_precision_score(np.eye(5)[truth], p),
        }


def false_alarms(rng):
    from sklearn.metrics import roc_curve

    positive = rng.random(600) < 0.1
    score = np.round(rng.normal(size=600) + 1.5 * positive, 2)
    far, recall, threshold = roc_curve(positive, score, drop_intermediate=False)
    cases = []
    for rate in [0.01, 0.05, 0.2]:
        last = np.flatnonzero(far <= rate)[-1]
        cases.append({"rate": rate, "recall": recall[last], "threshold": threshold[last]})
    return {"positive": positive, "score": score, "cases": cases}


def volume(rng):
    from vus.utils.metrics import metricor

    cases = []
    for length, events, width, decimals in [(200, [(20, 30), (90, 91), (150, 175)], 12, 9),
                                            (250, [(0, 5), (40, 44), (50, 60), (240, 250)], 15, 1),
                                            (120, [(60, 80)], 0, 9)]:
        label = np.zeros(length)
        for start, end in events:
            label[start:end] = 1
        score = np.round(rng.normal(size=length) + 1.2 * label, decimals)
        # At most 250 steps: the 250 thresholds of the program are then all distinct scores.
        cases.append({"anomalous": label > 0, "score": score, "width": width,
                      "volume": metricor().RangeAUC_volume_opt(label, score, width, 250)[-1]})
    return cases


def main():
    rng = np.random.default_rng(20250117)
    packages = ["numpy", "scipy", "statsmodels", "scikit-learn", "scikit-posthocs", "dieboldmariano", "MLstatkit", "baycomp", "vus"]
    expected = {
        "_made_with": {p: version(p) for p in packages} | {"python": platform.python_version()},
        "special": special(),
        "delong": delong(rng),
        "diebold_mariano": diebold_mariano(rng),
        "mcnemar": mcnemar(),
        "marginal_homogeneity": marginal_homogeneity(),
        "folds": folds(rng),
        "paired_t": paired_t(rng),
        "wilcoxon": wilcoxon(rng),
        "adjust": adjust(rng),
        "binomial": binomial(),
        "friedman": friedman(rng),
        "bca": bca(rng),
        "classification": classification(rng),
        "false_alarms": false_alarms(rng),
        "volume": volume(rng),
    }
    # One line per test: the file is read by programs.
    lines = [f' {json.dumps(key)}: {json.dumps(plain(value))}' for key, value in expected.items()]
    (HERE / "expected_compare.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
