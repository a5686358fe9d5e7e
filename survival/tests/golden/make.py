"""Writes the golden tables (*.csv) and the numbers that belong to them (expected.json).

Run in an environment with lifelines 0.30.3 and scikit-survival 0.28.0 (which brings scikit-learn and scipy):

    python3 make.py

The data are drawn here with a fixed seed; every expected number is computed by an outside program.
"""

import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
COLUMNS = ["x0", "x1", "x2", "x3"]


def covariates(rng, n):
    return {
        "x0": rng.normal(0, 1, n).round(3),
        "x1": rng.normal(50, 12, n).round(1),
        "x2": rng.integers(0, 2, n),
        "x3": rng.exponential(2.0, n).round(3),
    }


def risk_of(table):
    return 0.6 * table["x0"] + 0.02 * (table["x1"] - 50) - 0.7 * table["x2"] + 0.1 * table["x3"]


def table_ties(rng, n=300):
    """One cause, times on whole numbers: ties among failures and between failures and censorings."""
    t = pd.DataFrame(covariates(rng, n))
    life = np.ceil(12 * rng.weibull(1.3, n) * np.exp(-risk_of(t) / 1.3)).clip(1)
    watch = np.ceil(rng.uniform(2, 40, n))
    t.insert(0, "cause", np.where(life <= watch, 1, 0))
    t.insert(0, "entry", 0.0)
    t.insert(0, "duration", np.minimum(life, watch))
    return t


def table_entry(rng, n=500):
    """Delayed entry; entries lie off the lattice of the failures, where every convention agrees."""
    t = table_ties(rng, n)
    entry = np.where(rng.uniform(size=n) < 0.6, np.floor(rng.uniform(0, 12, n)) + 0.25, 0.0)
    t["entry"] = entry
    return t[t.entry < t.duration].reset_index(drop=True)


def table_causes(rng, n=400):
    """Two causes with ties within and between them."""
    t = pd.DataFrame(covariates(rng, n))
    first = np.ceil(15 * rng.weibull(1.4, n) * np.exp(-risk_of(t)))
    second = np.ceil(25 * rng.weibull(0.8, n) * np.exp(0.4 * t["x0"]))
    watch = np.ceil(rng.uniform(3, 40, n))
    duration = np.minimum(np.minimum(first, second), watch).clip(1)
    t.insert(0, "cause", np.where(duration == first.clip(1), 1, np.where(duration == second.clip(1), 2, 0)))
    t.insert(0, "entry", 0.0)
    t.insert(0, "duration", duration)
    return t


def table_scores(rng, n=400):
    """Failures on whole numbers, censorings on halves, so that G(T) = G(T-); risks with many ties."""
    t = table_ties(rng, n)
    t.loc[t.cause == 0, "duration"] += 0.5
    t["part"] = np.where(np.arange(n) < n // 2, "train", "test")
    t["risk"] = (risk_of(t) + rng.normal(0, 0.5, n)).round(1)
    for k, time in enumerate(SCORE_TIMES):
        hazard = (time / 14) ** 1.2 * np.exp(0.8 * t["risk"])
        t[f"s{k}"] = np.exp(-hazard).round(6)
    return t


SCORE_TIMES = [1.25, 2.75, 4.25, 6.75, 9.25, 12.75, 16.25, 20.75]


def surv(t):
    from sksurv.util import Surv

    return Surv.from_arrays(t.cause.to_numpy() > 0, t.duration.to_numpy())


def steps(times, values):
    return {"times": [float(x) for x in times], "values": [float(x) for x in values]}


def nonparametric(t):
    from lifelines import KaplanMeierFitter, NelsonAalenFitter

    event, entry = t.cause > 0, t.entry if (t.entry > 0).any() else None
    km = KaplanMeierFitter().fit(t.duration, event, entry=entry)
    na = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(t.duration, event, entry=entry)
    times = np.sort(t.duration.unique())
    band = km.confidence_interval_survival_function_.loc[times]
    return {
        "kaplan_meier": steps(times, km.survival_function_.loc[times].iloc[:, 0]),
        "interval_low": [float(v) for v in band.iloc[:, 0]],
        "interval_high": [float(v) for v in band.iloc[:, 1]],
        "nelson_aalen": steps(times, na.cumulative_hazard_.loc[times].iloc[:, 0]),
    }


def censoring(t):
    from sksurv.nonparametric import CensoringDistributionEstimator

    times = np.sort(t.duration.unique())
    g = CensoringDistributionEstimator().fit(surv(t))
    return steps(times, g.predict_proba(times))


def cox_efron(t):
    from lifelines import CoxPHFitter

    frame = t[COLUMNS + ["duration"]].assign(event=t.cause > 0)
    entry = None
    if (t.entry > 0).any():
        frame, entry = frame.assign(entry=t.entry), "entry"
    fit = CoxPHFitter().fit(frame, "duration", "event", entry_col=entry, fit_options={"precision": 1e-10})
    return {
        "coefficients": [float(fit.params_[c]) for c in COLUMNS],
        "standard_errors": [float(fit.standard_errors_[c]) for c in COLUMNS],
        "log_likelihood": float(fit.log_likelihood_),
    }


def cox_breslow(t):
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    x = t[COLUMNS].to_numpy(float)
    fit = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(x, surv(t))
    step = fit.cum_baseline_hazard_
    scale = x.std(axis=0)
    ridge = CoxPHSurvivalAnalysis(alpha=5.0, ties="breslow", tol=1e-12).fit((x - x.mean(axis=0)) / scale, surv(t))
    return {
        "coefficients": [float(v) for v in fit.coef_],
        "baseline_at_zero": steps(step.x, step.y),
        "ridge": 5.0,
        "ridge_coefficients": [float(v) for v in ridge.coef_ / scale],
    }


def weibull(t):
    from lifelines import WeibullAFTFitter, WeibullFitter

    event = t.cause > 0
    entry = t.entry if (t.entry > 0).any() else None
    plain = WeibullFitter().fit(t.duration, event, entry=entry)
    frame = t[COLUMNS + ["duration"]].assign(event=event)
    entry_col = None
    if entry is not None:
        frame, entry_col = frame.assign(entry=t.entry), "entry"
    aft = WeibullAFTFitter().fit(frame, "duration", "event", entry_col=entry_col)
    return {
        "scale": float(plain.lambda_),
        "shape": float(plain.rho_),
        "log_likelihood": float(plain.log_likelihood_),
        "aft_intercept": float(aft.params_[("lambda_", "Intercept")]),
        "aft_coefficients": [float(aft.params_[("lambda_", c)]) for c in COLUMNS],
        "aft_shape": float(np.exp(aft.params_[("rho_", "Intercept")])),
        "aft_log_likelihood": float(aft.log_likelihood_),
    }


def incidence(t):
    from sksurv.nonparametric import cumulative_incidence_competing_risks

    times, f = cumulative_incidence_competing_risks(t.cause.to_numpy(), t.duration.to_numpy())
    return {"times": [float(v) for v in times], "first": [float(v) for v in f[1]], "second": [float(v) for v in f[2]]}


DISCRETE_EDGES = [0.0, 2.0, 5.0, 9.0, 14.0, 20.0]


def discrete(t):
    """Multinomial logistic regression on the person-period table, written out row by row."""
    from sklearn.linear_model import LogisticRegression

    rows, labels = [], []
    edges = DISCRETE_EDGES
    for _, unit in t.iterrows():
        for j in range(len(edges) - 1):
            if unit.duration > edges[j + 1] or (unit.duration == edges[j + 1] and unit.cause == 0):
                label = 0
            elif unit.duration > edges[j] and unit.cause > 0:
                label = int(unit.cause)
            else:
                break
            dummies = [1.0 if k == j else 0.0 for k in range(len(edges) - 1)]
            rows.append(dummies + [float(unit[c]) for c in COLUMNS])
            labels.append(label)
            if label > 0:
                break
    x = np.array(rows)
    x[:, -3] -= 50.0
    fit = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    fit.fit(x, labels)
    against_survival = fit.coef_[1:] - fit.coef_[0]
    k = len(edges) - 1
    p = fit.predict_proba(x)
    loglik = float(np.log(p[np.arange(len(labels)), labels]).sum())
    shift = 50.0 * against_survival[:, k + 1]
    return {
        "edges": edges,
        "intercepts": (against_survival[:, :k] - shift[:, None]).T.tolist(),
        "coefficients": against_survival[:, k:].tolist(),
        "log_likelihood": loglik,
        "person_periods": len(labels),
    }


def scores(t):
    from lifelines.utils import concordance_index
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sksurv.metrics import brier_score, concordance_index_censored, concordance_index_ipcw, integrated_brier_score
    from sksurv.nonparametric import CensoringDistributionEstimator

    train, test = t[t.part == "train"], t[t.part == "test"]
    y, z = surv(train), surv(test)
    s = test[[f"s{k}" for k in range(len(SCORE_TIMES))]].to_numpy()
    times = np.array(SCORE_TIMES)
    harrell = concordance_index_censored(test.cause.to_numpy() > 0, test.duration.to_numpy(), test.risk.to_numpy())
    g = CensoringDistributionEstimator().fit(y)
    detection = []
    for k, time in enumerate(SCORE_TIMES[2:6], start=2):
        positive = (test.duration <= time) & (test.cause > 0)
        alive = test.duration > time
        weight = np.zeros(len(test))
        weight[positive] = 1 / g.predict_proba(test.duration[positive].to_numpy())
        weight[alive] = 1 / g.predict_proba(np.array([time]))[0]
        detection.append({
            "horizon": time,
            "roc_auc": float(roc_auc_score(positive, 1 - s[:, k], sample_weight=weight)),
            "average_precision": float(average_precision_score(positive, 1 - s[:, k], sample_weight=weight)),
        })
    return {
        "times": SCORE_TIMES,
        "lifelines_concordance": float(concordance_index(test.duration, -test.risk, test.cause > 0)),
        "harrell": {k: float(v) for k, v in zip(["index", "concordant", "discordant", "tied_risk"], harrell)},
        "uno": [
            {"tau": tau, "index": float(concordance_index_ipcw(y, z, test.risk.to_numpy(), tau=tau)[0])}
            for tau in [8.0, 15.25, 22.0]
        ],
        "brier": [float(v) for v in brier_score(y, z, s, times)[1]],
        "integrated_brier": float(integrated_brier_score(y, z, s, times)),
        "detection": detection,
    }


def special():
    from scipy import special as sp
    from scipy import stats

    return {
        "ln_gamma": [[x, float(sp.gammaln(x))] for x in [1e-3, 0.25, 0.5, 1.0, 1.5, 2.0, 3.7, 10.0, 171.5, 1e4]],
        "gamma_upper": [[a, x, float(sp.gammaincc(a, x))]
                        for a in [0.5, 1.0, 4.5, 30.0, 500.0] for x in [1e-4, 0.3, 2.0, 29.0, 480.0, 600.0]],
        "chi_square_quantile": [[p, k, float(stats.chi2.ppf(p, k))]
                                for p in [1e-4, 0.025, 0.5, 0.975, 0.9999] for k in [1.0, 2.0, 9.0, 40.0, 2000.0]],
        "normal_quantile": [[p, float(stats.norm.ppf(p))] for p in [1e-9, 1e-3, 0.025, 0.3, 0.5, 0.7, 0.975, 0.9999]],
    }


def main():
    rng = np.random.default_rng(20240611)
    ties, entry, causes, scored = table_ties(rng), table_entry(rng), table_causes(rng), table_scores(rng)
    for name, table in [("ties", ties), ("entry", entry), ("causes", causes), ("scores", scored)]:
        table.to_csv(HERE / f"{name}.csv", index=False)
    expected = {
        "_made_with": {p: version(p) for p in ["lifelines", "scikit-survival", "scikit-learn", "scipy", "numpy"]}
        | {"python": platform.python_version()},
        "ties": nonparametric(ties)
        | {"censoring": censoring(ties), "cox_efron": cox_efron(ties), "cox_breslow": cox_breslow(ties), "weibull": weibull(ties)},
        "entry": nonparametric(entry) | {"cox_efron": cox_efron(entry), "weibull": weibull(entry)},
        "causes": {"incidence": incidence(causes), "discrete": discrete(causes)},
        "scores": scores(scored),
        "special": special(),
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
