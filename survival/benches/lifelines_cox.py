"""Fits Cox models with lifelines (Efron) and scikit-survival (Breslow) and prints times and coefficients as JSON.

Usage: python3 lifelines_cox.py TABLE.csv REPEATS     (columns duration, event, x0, x1, ...)
"""

import json
import statistics
import sys
import time
import warnings

import lifelines
import numpy as np
import pandas as pd
import sksurv
from lifelines import CoxPHFitter
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

warnings.filterwarnings("ignore")


def median_seconds(repeats, fit):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        model = fit()
        seconds.append(time.perf_counter() - start)
    return model, statistics.median(seconds)


table = pd.read_csv(sys.argv[1])
repeats = int(sys.argv[2])
x = table.drop(columns=["duration", "event"])
y = Surv.from_arrays(table.event.to_numpy(bool), table.duration.to_numpy())
matrix = np.ascontiguousarray(x.to_numpy(float))

efron, efron_seconds = median_seconds(
    repeats, lambda: CoxPHFitter().fit(table, "duration", "event", fit_options={"precision": 1e-9})
)
breslow, breslow_seconds = median_seconds(
    repeats, lambda: CoxPHSurvivalAnalysis(ties="breslow", tol=1e-9).fit(matrix, y)
)
print(
    json.dumps(
        {
            "lifelines": {
                "version": lifelines.__version__,
                "seconds": efron_seconds,
                "coefficients": [float(efron.params_[c]) for c in x.columns],
            },
            "scikit-survival": {
                "version": sksurv.__version__,
                "seconds": breslow_seconds,
                "coefficients": [float(v) for v in breslow.coef_],
            },
        }
    )
)
