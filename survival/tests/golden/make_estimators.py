"""Writes clusters.csv, start_stop.csv and the numbers of expected_estimators.json.

Run after make.py, in an environment with lifelines 0.30.3 and statsmodels 0.15.0:

    python3 make_estimators.py

ties.csv and entry.csv are those of make.py. New data are drawn here with a fixed seed; every expected number is
computed by an outside program.
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
STRATUM = "x2"
REST = [c for c in COLUMNS if c != STRATUM]
SURVIVAL_TIMES = [1.5, 6.0, 14.0]


def table_clusters(rng, n=400, clusters=60):
    """Times without ties, units of one cluster sharing a frailty."""
    cluster = rng.integers(0, clusters, n)
    frailty = rng.gamma(2.0, 0.5, clusters)
    x = pd.DataFrame({
        "x0": (rng.normal(0, 1, n) + 0.5 * (frailty[cluster] - 1)).round(3),
        "x1": rng.normal(50, 12, n).round(1),
        "x2": rng.integers(0, 2, n),
        "x3": rng.exponential(2.0, n).round(3),
    })
    risk = 0.6 * x.x0 + 0.02 * (x.x1 - 50) - 0.7 * x.x2 + 0.1 * x.x3
    life = 12 * rng.weibull(1.3, n) * (np.exp(-risk) / frailty[cluster]) ** (1 / 1.3)
    # Hazards of x0 drift with time, so that the test of proportional hazards has something to see.
    life = life * np.exp(0.15 * x.x0 * np.log1p(life))
    watch = rng.uniform(2, 40, n)
    t = x.assign(duration=np.minimum(life, watch).round(6), entry=0.0, cause=(life <= watch).astype(int), cluster=cluster)
    assert t.duration.nunique() == n
    return t[["duration", "entry", "cause", *COLUMNS, "cluster"]]


def table_start_stop(rng, units=220):
    """One row per unit and stretch; covariates change on whole numbers, where failures fall too; some gaps."""
    rows = []
    for unit in range(units):
        fixed, kind = round(rng.normal(), 3), int(rng.integers(0, 2))
        start, drift = float(rng.integers(0, 4)), rng.normal(50, 12)
        for _ in range(int(rng.integers(1, 6))):
            stop = start + float(rng.integers(1, 6))
            drift += rng.normal(1.0, 4.0)
            load = round(rng.exponential(2.0), 3)
            risk = 0.6 * fixed + 0.02 * (drift - 50) - 0.7 * kind + 0.15 * load
            life = np.ceil(start + rng.exponential(14 * np.exp(-risk)))
            failed = start < life <= stop
            end = life if failed else stop
            rows.append((unit, start, end, int(failed), fixed, round(drift, 1), kind, load))
            if failed:
                break
            start = stop + float(rng.integers(0, 2))
    return pd.DataFrame(rows, columns=["id", "entry", "duration", "cause", *COLUMNS])


def aft(t):
    import lifelines as ll

    event = t.cause > 0
    entry = t.entry if (t.entry > 0).any() else None
    out = {}
    names = {
        "log-normal": (ll.LogNormalFitter, ll.LogNormalAFTFitter, "mu_", "sigma_"),
        "log-logistic": (ll.LogLogisticFitter, ll.LogLogisticAFTFitter, "alpha_", "beta_"),
    }
    frame = t[COLUMNS + ["duration"]].assign(event=event)
    entry_col = None
    if entry is not None:
        frame, entry_col = frame.assign(entry=t.entry), "entry"
    for law, (plain_class, aft_class, location, spread) in names.items():
        plain = plain_class().fit(t.duration, event, entry=entry)
        # The gradient bound of lifelines' default (BFGS, 1e-5) leaves the fourth digit of a coefficient to chance.
        fitter = aft_class()
        fitter._scipy_fit_method = "SLSQP"
        fit = fitter.fit(frame, "duration", "event", entry_col=entry_col, fit_options={"ftol": 1e-14, "maxiter": 1000})
        # lifelines: log-normal mu, sigma; log-logistic S = 1/(1 + (t/alpha)^beta). Ours: scale e^location, shape 1/sigma.
        scale, shape = float(getattr(plain, location)), float(getattr(plain, spread))
        aft_shape = float(np.exp(fit.params_[(spread, "Intercept")]))
        if law == "log-normal":
            scale, shape, aft_shape = float(np.exp(scale)), 1 / shape, 1 / aft_shape
        s = plain.survival_function_at_times(SURVIVAL_TIMES)
        one = fit.predict_survival_function(frame.iloc[[0]], times=SURVIVAL_TIMES)
        out[law] = {
            "scale": scale,
            "shape": shape,
            "log_likelihood": float(plain.log_likelihood_),
            "aic": float(plain.AIC_),
            "survival": [float(v) for v in s],
            "aft_intercept": float(fit.params_[(location, "Intercept")]),
            "aft_coefficients": [float(fit.params_[(location, c)]) for c in COLUMNS],
            "aft_shape": aft_shape,
            "aft_log_likelihood": float(fit.log_likelihood_),
            "aft_survival_of_first_row": [float(v) for v in one.iloc[:, 0]],
        }
    plain = ll.ExponentialFitter().fit(t.duration, event, entry=entry)
    out["exponential"] = {
        "scale": float(plain.lambda_),
        "log_likelihood": float(plain.log_likelihood_),
        "aic": float(plain.AIC_),
        "survival": [float(v) for v in plain.survival_function_at_times(SURVIVAL_TIMES)],
    }
    return out


def cox_numbers(fit, columns):
    return {
        "coefficients": [float(fit.params_[c]) for c in columns],
        "standard_errors": [float(fit.standard_errors_[c]) for c in columns],
        "log_likelihood": float(fit.log_likelihood_),
    }


def cox(t, columns=COLUMNS, **options):
    from lifelines import CoxPHFitter

    frame = t[COLUMNS + ["duration"]].assign(event=t.cause > 0)
    for column in ["cluster"] if "cluster_col" in options else []:
        frame[column] = t[column]
    if (t.entry > 0).any():
        frame, options = frame.assign(entry=t.entry), options | {"entry_col": "entry"}
    fit = CoxPHFitter().fit(frame, "duration", "event", fit_options={"precision": 1e-10}, **options)
    return fit, frame, cox_numbers(fit, columns)


def proportional(t, transforms, **options):
    from lifelines.statistics import proportional_hazard_test

    columns = REST if "strata" in options else COLUMNS
    fit, frame, _ = cox(t, columns, **options)
    out = {}
    for transform in transforms:
        test = proportional_hazard_test(fit, frame, time_transform=transform)
        order = list(fit.params_.index)
        out[transform] = {
            "statistics": [float(test.test_statistic[order.index(c)]) for c in columns],
            "p_values": [float(test.p_value[order.index(c)]) for c in columns],
        }
    return out


def schoenfeld(t):
    """Residuals in the order of time, failures of one time by row number."""
    fit, frame, _ = cox(t)
    residuals = fit.compute_residuals(frame, kind="schoenfeld")
    residuals = residuals.assign(time=t.duration.loc[residuals.index], row=residuals.index).sort_values(["time", "row"])
    return residuals[COLUMNS].to_numpy().tolist()


def time_varying(t, **options):
    from lifelines import CoxTimeVaryingFitter

    columns = REST if "strata" in options else COLUMNS
    frame = t[["id", "entry", "duration", *COLUMNS]].assign(event=t.cause > 0)
    fit = CoxTimeVaryingFitter().fit(
        frame, event_col="event", start_col="entry", stop_col="duration", id_col="id",
        fit_options={"precision": 1e-10}, **options)
    return cox_numbers(fit, columns)


def breslow_groups(t, groups, strata=None):
    """statsmodels, Breslow ties, with the grouped sandwich: ties and late entries, where lifelines' errors have neither."""
    from statsmodels.duration.hazard_regression import PHReg

    columns = COLUMNS if strata is None else REST
    entry = t.entry.to_numpy() if (t.entry > 0).any() else None
    model = PHReg(t.duration.to_numpy(), t[columns].to_numpy(float), status=(t.cause > 0).astype(int).to_numpy(),
                  entry=entry, strata=None if strata is None else t[strata].to_numpy(), ties="breslow")
    fit = model.fit(groups=np.asarray(groups))
    return {
        "coefficients": [float(v) for v in fit.params],
        "robust_standard_errors": [float(v) for v in fit.bse],
        "log_likelihood": float(fit.llf),
        "score_residuals": np.asarray(fit.score_residuals).tolist()[:40],
    }


def normal_tail():
    from scipy import stats

    points = [-40.0, -8.0, -2.5, -1.0, -1e-3, 0.0, 0.7, 1.999, 2.001, 3.0, 6.0, 15.0, 38.0, 100.0, 1e4, 1e8]
    return [[x, float(stats.norm.logsf(x))] for x in points]


def main():
    rng = np.random.default_rng(20261124)
    ties, entry = pd.read_csv(HERE / "ties.csv"), pd.read_csv(HERE / "entry.csv")
    clusters, start_stop = table_clusters(rng), table_start_stop(rng)
    clusters.to_csv(HERE / "clusters.csv", index=False)
    start_stop.to_csv(HERE / "start_stop.csv", index=False)
    every = ["rank", "km", "identity"]
    expected = {
        "_made_with": {p: version(p) for p in ["lifelines", "statsmodels", "scipy", "numpy", "pandas"]}
        | {"python": platform.python_version()},
        "survival_times": SURVIVAL_TIMES,
        "aft": {"ties": aft(ties), "entry": aft(entry)},
        "strata": {"ties": cox(ties, REST, strata=[STRATUM])[2], "entry": cox(entry, REST, strata=[STRATUM])[2]},
        "clustered": cox(clusters, cluster_col="cluster")[2],
        "robust": cox(clusters, robust=True)[2],
        "clustered_strata": cox(clusters, REST, cluster_col="cluster", strata=[STRATUM])[2],
        "breslow_groups": {
            "ties": breslow_groups(ties, np.arange(len(ties)) % 30),
            "entry": breslow_groups(entry, np.arange(len(entry)) % 30),
            "entry_strata": breslow_groups(entry, np.arange(len(entry)) % 30, STRATUM),
        },
        "proportional": {
            "clusters": proportional(clusters, every),
            "clusters_strata": proportional(clusters, ["km", "identity"], strata=[STRATUM]),
            "ties": proportional(ties, ["km", "identity"]),
        },
        "schoenfeld": {"clusters": schoenfeld(clusters), "ties": schoenfeld(ties)},
        "time_varying": {"plain": time_varying(start_stop), "strata": time_varying(start_stop, strata=[STRATUM])},
        "normal_tail": normal_tail(),
    }
    (HERE / "expected_estimators.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
