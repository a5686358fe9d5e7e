"""Writes score_causes.csv and the numbers that belong to it and to scores.csv (expected_scores.json).

Run beside scores.csv, in an environment with hazardous 0.2.0, scikit-survival 0.28.0, numba, patsy, and, installed
with --no-deps, pycox 0.3.0 and SurvivalEVAL 0.9.0:

    python3 make_scores.py

The curves are drawn here with a fixed seed; every expected number is computed by an outside program. Of pycox only
the numba modules are loaded, and SurvivalEVAL asks torch only whether an input is a tensor, so an empty stand-in
for torch is enough for both.
"""

import importlib.util
import json
import platform
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent
TIMES = [1.25, 2.75, 4.25, 6.75, 9.25, 12.75, 16.25, 20.75]
ENDS = [2, 4, 6]


def table_score_causes(rng, n=320):
    """Two causes, failures on whole numbers and censorings on halves (G(T) = G(T-)); curves that cross."""
    x = rng.normal(0, 1, n)
    shape = np.where(rng.uniform(size=n) < 0.5, 0.8, 2.0)
    first = np.ceil(16 * np.exp(-0.7 * x) * rng.weibull(1.2, n)).clip(1)
    second = np.ceil(24 * np.exp(0.4 * x) * rng.weibull(1.0, n)).clip(1)
    watch = np.ceil(rng.uniform(3, 45, n)) + 0.5
    duration = np.minimum(np.minimum(first, second), watch)
    cause = np.where(duration == watch, 0, np.where(duration == first, 1, 2))
    t = pd.DataFrame({"duration": duration, "entry": 0.0, "cause": cause})
    t["part"] = np.where(np.arange(n) < n // 2, "train", "test")
    seen = x + rng.normal(0, 0.6, n)
    for k, time in enumerate(TIMES):
        a = (time / (15 * np.exp(-0.7 * seen))) ** shape
        b = (time / (25 * np.exp(0.4 * seen))) ** shape
        gone = 1 - np.exp(-a - b)
        t[f"a{k}"] = (gone * a / (a + b)).round(6)
        t[f"b{k}"] = (gone * b / (a + b)).round(6)
    # Some rows share one curve, so that predictions tie.
    columns = [f"{name}{k}" for name in "ab" for k in range(len(TIMES))]
    test = t.index[t.part == "test"]
    t.loc[test[10:25], columns] = t.loc[test[30:45], columns].to_numpy()
    t.loc[t.part == "train", columns] = np.nan
    return t


def load_outside():
    torch = types.ModuleType("torch")
    torch.Tensor = type("Tensor", (), {})
    sys.modules.setdefault("torch", torch)
    where = Path(importlib.util.find_spec("pycox").origin).parent
    for name, folder in [("pycox", where), ("pycox.evaluation", where / "evaluation")]:
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def surv(t):
    from sksurv.util import Surv

    return Surv.from_arrays(t.cause.to_numpy() > 0, t.duration.to_numpy())


def incidences(t, name):
    return np.column_stack([np.zeros(len(t))] + [t[f"{name}{k}"] for k in range(len(TIMES))])


def c_td(test, survival):
    """survival: n x (K + 1) at the edges; read at T by linear interpolation, or at the edge that ends T's interval."""
    from pycox.evaluation.concordance import concordance_td

    edges = np.array([0.0, *TIMES])
    result = []
    for until in [TIMES[-1], TIMES[4]]:
        t, event = test.duration.to_numpy(), (test.cause.to_numpy() > 0)
        event = (event & (t <= until)).astype(int)
        exact = np.array([[np.interp(x, edges, s) for s in survival] for x in t])
        right = np.searchsorted(edges, np.minimum(t, edges[-1]))
        stepped = survival.T[right]
        rows = np.arange(len(t))
        once = ~pd.Series(t).duplicated().to_numpy()
        few = np.arange(once.sum())
        result.append({
            "until": until,
            "exact": float(concordance_td(t, event, exact, rows, "antolini")),
            "at_edges": float(concordance_td(t, event, np.ascontiguousarray(stepped), rows, "antolini")),
            "distinct_times": float(concordance_td(
                t[once], event[once], np.ascontiguousarray(exact[np.ix_(once, once)]), few, "adj_antolini")),
        })
    return result


def c_of_cause(train, test):
    from hazardous.metrics import concordance_index_incidence

    def frame(t):
        return pd.DataFrame({"event": t.cause.astype(int), "duration": t.duration}).reset_index(drop=True)

    result = []
    for cause, name in [(1, "a"), (2, "b")]:
        for k in ENDS:
            common = dict(time_grid=np.array([0.0, *TIMES]), taus=[TIMES[k]], event_of_interest=cause)
            predicted = incidences(test, name)
            weighted = concordance_index_incidence(frame(test), predicted, frame(train), **common)
            plain = concordance_index_incidence(frame(test), predicted, None, ipcw_estimator=None, **common)
            result.append({"cause": cause - 1, "horizon": TIMES[k],
                           "weighted": float(weighted[0]), "plain": float(plain[0])})
    return result


def dynamic_auc(train, test, risk, survival, times):
    from sksurv.metrics import cumulative_dynamic_auc

    by_curve, mean_by_curve = cumulative_dynamic_auc(surv(train), surv(test), 1 - survival, np.array(times))
    by_risk, mean_by_risk = cumulative_dynamic_auc(surv(train), surv(test), risk, np.array(times))
    return {"curves": by_curve.tolist(), "mean_of_curves": float(mean_by_curve),
            "risk": by_risk.tolist(), "mean_of_risk": float(mean_by_risk)}


def nbll(train, test, survival):
    from pycox.evaluation.ipcw import binomial_log_likelihood
    from sksurv.nonparametric import CensoringDistributionEstimator

    times = np.array(TIMES)
    g = CensoringDistributionEstimator().fit(surv(train))
    index = np.unique(np.concatenate([[0.0], train.duration, test.duration, times]))
    known = np.concatenate([[1.0], g.predict_proba(index[1:].clip(max=train.duration.max()))])
    n = len(test)
    scores, _ = binomial_log_likelihood(
        times, test.duration.to_numpy(), (test.cause > 0).to_numpy().astype(int), np.ascontiguousarray(survival.T),
        np.repeat(known[:, None], n, axis=1), times, index, reduce=False)
    at = -scores.mean(axis=1)
    return {"at": at.tolist(), "integrated": float(np.trapezoid(at, times) / (times[-1] - times[0]))}


def scaled_brier(train, test, survival):
    from sksurv.metrics import integrated_brier_score
    from sksurv.nonparametric import SurvivalFunctionEstimator

    y, z, times = surv(train), surv(test), np.array(TIMES)
    flat = SurvivalFunctionEstimator().fit(y).predict_proba(times)
    own = integrated_brier_score(y, z, survival, times)
    reference = integrated_brier_score(y, z, np.repeat(flat[None, :], len(test), axis=0), times)
    return {"score": float(own), "reference": float(reference), "scaled": float(1 - own / reference)}


def one_calibration(test, survival):
    from SurvivalEVAL.evaluations.calibration.single_time.one_calibration import one_calibration as one

    # Rows of their own prediction, and as many as the bins divide: how ties and remainders are cut differs.
    rows = np.delete(np.arange(len(test)), np.arange(10, 25))[:140]
    test, survival = test.iloc[rows], survival[rows]
    result = []
    for k in [3, 5]:
        for bins in [5, 10]:
            arguments = (1 - survival[:, k], test.duration.to_numpy(), (test.cause > 0).to_numpy().astype(int), TIMES[k])
            plain_p, plain = one(*arguments, num_bins=bins, adjust_variance=False, return_details=True)
            green_p, green = one(*arguments, num_bins=bins, adjust_variance=True, return_details=True)
            result.append({
                "horizon": TIMES[k], "k": k, "bins": bins,
                "chi_square": float(plain["statistics"]), "degrees_of_freedom": float(plain["degrees_of_freedom"]),
                "p_value": float(plain_p), "greenwood": finite(green["statistics"]), "greenwood_p_value": finite(green_p),
                "greenwood_degrees_of_freedom": float(green["degrees_of_freedom"]),
            })
    return result


def finite(value):
    return float(value) if np.isfinite(value) else None


def calibration_index(test, survival):
    from SurvivalEVAL.evaluations.calibration.single_time.integrated_calibration_index import (
        integrated_calibration_index as ici)

    result = []
    for k in [2, 5]:
        for knots in [3, 4, 5]:
            got = ici(1 - survival[:, k], test.duration.to_numpy(), (test.cause > 0).to_numpy().astype(int),
                      TIMES[k], knots=knots)
            result.append({"horizon": TIMES[k], "k": k, "knots": knots,
                           "ici": float(got["ICI"]), "e50": float(got["E50"]), "e90": float(got["E90"]),
                           "e_max": float(got["E_max"]), "with_lifelines": ici_of_lifelines(test, survival[:, k], TIMES[k], knots)})
    return result


def ici_of_lifelines(test, survival, horizon, knots):
    """Coefficients by lifelines, whose Newton steps end nearer to the optimum than SurvivalEVAL's; the rest is sums."""
    from lifelines import CoxPHFitter

    p = 1 - survival
    x = np.log(-np.log1p(-p.clip(1e-10, 1 - 1e-10)))
    edge = 0.1 if knots == 3 else 0.05
    t = np.quantile(x, np.linspace(edge, 1 - edge, knots))
    cube = [np.maximum(x - at, 0) ** 3 for at in t]
    span = t[-1] - t[-2]
    terms = [cube[j] - cube[-2] * (t[-1] - t[j]) / span + cube[-1] * (t[-2] - t[j]) / span for j in range(knots - 2)]
    basis = np.column_stack([x, *terms])
    basis = (basis - basis.mean(axis=0)) / basis.std(axis=0)
    duration, event = test.duration.to_numpy(), (test.cause > 0).to_numpy()
    frame = pd.DataFrame(basis).add_prefix("c").assign(duration=duration, event=event)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit = CoxPHFitter().fit(frame, "duration", "event", fit_options={"precision": 1e-15})
    if any("failed to converge" in str(warning.message) for warning in seen):
        return None
    ratio = np.exp(basis @ fit.params_.to_numpy())
    hazard = 0.0
    for time in np.unique(duration[event & (duration <= horizon)]):
        dying = ratio[event & (duration == time)]
        at_risk = ratio[duration >= time].sum()
        hazard += sum(1 / (at_risk - k / len(dying) * dying.sum()) for k in range(len(dying)))
    gap = np.abs(p - (1 - np.exp(-hazard * ratio)))
    return [float(gap.mean()), float(np.quantile(gap, 0.5)), float(np.quantile(gap, 0.9)), float(gap.max())]


def marginal(test):
    from hazardous.metrics import km_calibration
    from SurvivalEVAL.evaluations.calibration.distributional.aj_calibration import aj_calibration_per_event

    edges = np.array([0.0, *TIMES])
    a, b = incidences(test, "a"), incidences(test, "b")
    y = pd.DataFrame({"event": (test.cause > 0).astype(int), "duration": test.duration}).reset_index(drop=True)
    score, difference = km_calibration(y, edges, 1 - a - b, return_diff_at_t=True)
    return {
        "kaplan_meier": {"integrated_squared": float(score), "largest": float(difference.max())},
        "aalen_johansen": [
            float(aj_calibration_per_event(f, edges, test.duration.to_numpy(), test.cause.to_numpy().astype(int), cause,
                                           min_prop_at_risk=0.0))
            for cause, f in [(1, a), (2, b)]],
    }


def mean_errors(train, test, predicted):
    """SurvivalEVAL joins the points of the estimate by lines; a censoring just before every failure makes them steps."""
    from SurvivalEVAL.evaluations.prediction_error.mean_error import mean_error

    def run(method, weighted, training):
        return float(mean_error(
            predicted, test.duration.to_numpy(), (test.cause > 0).to_numpy().astype(int),
            training.duration.to_numpy(), (training.cause > 0).to_numpy().astype(int), "absolute", method, weighted))

    def stepped(training):
        times = np.sort(training.duration[training.cause > 0].unique())
        return pd.concat([training, pd.DataFrame({"duration": times - 1e-9, "cause": 0})], ignore_index=True)

    # Training data whose last unit failed: the estimate reaches 0 by itself.
    ended = train[train.duration <= train.duration[train.cause > 0].max()]
    return {
        "hinge": run("Hinge", False, train),
        "margin": run("Margin", True, stepped(train)), "margin_ended": run("Margin", True, stepped(ended)),
        "margin_of_lines": run("Margin", True, train),
        "pseudo_observation": pseudo_observations(train, test, predicted),
        "pseudo_observation_ended": pseudo_observations(ended, test, predicted),
        "pseudo_observation_of_lines": run("Pseudo_obs", True, train),
    }


def pseudo_observations(train, test, predicted):
    """Jackknife with the Kaplan-Meier estimates and areas of lifelines, and a line to 0 beyond the last time."""
    from lifelines import KaplanMeierFitter
    from lifelines.utils import restricted_mean_survival_time

    def mean_life(duration, event):
        fit = KaplanMeierFitter().fit(duration, event)
        last, left = duration.max(), float(fit.predict(duration.max()))
        return restricted_mean_survival_time(fit, t=last) + 0.5 * left * (last / (1 - left) - last), fit

    event = train.cause.to_numpy() > 0
    base, fit = mean_life(train.duration.to_numpy(), event)
    n, total, weights = len(train), 0.0, 0.0
    zero = train.duration.max() / (1 - float(fit.predict(train.duration.max())))
    for duration, cause, prediction in zip(test.duration, test.cause, predicted):
        if cause > 0:
            target, weight = duration, 1.0
        else:
            longer, _ = mean_life(np.append(train.duration, duration), np.append(event, False))
            target = (n + 1) * longer - n * base
            last = train.duration.max()
            weight = 1 - float(fit.predict(duration)) if duration <= last else min(1.0, duration / zero)
        total, weights = total + weight * abs(target - prediction), weights + weight
    return float(total / weights)


def main():
    load_outside()
    table = table_score_causes(np.random.default_rng(20240917))
    table.to_csv(HERE / "score_causes.csv", index=False)
    table = pd.read_csv(HERE / "score_causes.csv")
    train, test = table[table.part == "train"], table[table.part == "test"].reset_index(drop=True)
    survival = 1 - incidences(test, "a") - incidences(test, "b")

    single = pd.read_csv(HERE / "scores.csv")
    single_train = single[single.part == "train"]
    single_test = single[single.part == "test"].reset_index(drop=True)
    s = single_test[[f"s{k}" for k in range(len(TIMES))]].to_numpy()
    # A point prediction per row: the area under its curve.
    edges = np.array([0.0, *TIMES])
    areas = np.trapezoid(np.column_stack([np.ones(len(single_test)), s]), edges, axis=1)
    expected = {
        "_made_with": {p: version(p) for p in
                       ["hazardous", "scikit-survival", "pycox", "SurvivalEVAL", "lifelines", "numba", "scipy", "numpy"]}
        | {"python": platform.python_version()},
        "times": TIMES,
        "concordance_td": {"crossing": c_td(test, survival),
                           "single": c_td(single_test, np.column_stack([np.ones(len(s)), s]))},
        "concordance_of_cause": c_of_cause(train, test),
        "dynamic_auc": dynamic_auc(single_train, single_test, single_test.risk.to_numpy(), s, TIMES),
        "nbll": nbll(single_train, single_test, s),
        "scaled_brier": scaled_brier(single_train, single_test, s),
        "one_calibration": one_calibration(test, survival[:, 1:]),
        "calibration_index": calibration_index(test, survival[:, 1:]),
        "marginal": marginal(test),
        "mean_errors": mean_errors(single_train, single_test, areas) | {"predicted": areas.tolist()},
    }
    (HERE / "expected_scores.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
