"""Compares what Forewarn printed in one place with what it wrote in another.

    check.py demo   DEMO_JSON OUT       the printed comparison equals OUT/evaluation.json; ten riskiest entities
    check.py scores DEMO_JSON SCORES    the demo's gRPC answers equal `forewarn score` on the same rows
    check.py client CLIENT_JSON SCORES  a client in another language gets the same numbers

`demo` needs Python alone, the others pyarrow. Exit code 1 and one line per difference when something differs.
"""

import json
import math
import re
import sys
from pathlib import Path

TOLERANCE = 1e-6
PREFIX = "failure_probability_"


def fail(*lines):
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1)


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}")


def differences(a, b, where="evaluation"):
    """Every place where two JSON values differ; numbers must be equal, not close."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key in a and key in b:
                yield from differences(a[key], b[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}: only {'printed' if key in a else 'in the file'}"
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield f"{where}: {len(a)} values printed, {len(b)} in the file"
        for index, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, f"{where}[{index}]")
    elif isinstance(a, bool) or isinstance(b, bool) or type(a) is not type(b):
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b))
        if not (numbers and a == b) and not (type(a) is type(b) and a == b):
            yield f"{where}: {a!r} printed, {b!r} in the file"
    elif a != b:
        yield f"{where}: {a!r} printed, {b!r} in the file"


def check_demo(demo_path, out):
    demo = read_json(demo_path)
    missing = [key for key in ("out", "dataset", "bundles", "riskiest", "horizons", "evaluation", "report", "grpc") if key not in demo]
    if missing:
        fail(f"{demo_path}: keys {missing} are missing")
    found = list(differences(demo["evaluation"], read_json(Path(out) / "evaluation.json")))
    if found:
        fail(*found[:20], f"{len(found)} differences between the printed comparison and evaluation.json")
    models = demo["evaluation"].get("models", [])
    if len(models) < 2:
        fail(f"the comparison has {len(models)} models, a comparison needs two")
    for model in models:
        score = model["integrated_brier"]
        if not all(isinstance(score[key], (int, float)) for key in ("estimate", "low", "high")):
            fail(f"{model['name']}: integrated Brier score without an interval: {score}")
    riskiest = demo["riskiest"]
    if len(riskiest) != 10 or len({row["entity"] for row in riskiest}) != 10:
        fail(f"ten riskiest entities wanted, {len(riskiest)} rows on {len({row['entity'] for row in riskiest})} entities printed")
    for row in riskiest:
        probability = row["failure_probability"]
        if len(probability) != len(demo["horizons"]):
            fail(f"{row['entity']}: {len(probability)} probabilities for {len(demo['horizons'])} horizons")
        if any(not 0.0 <= p <= 1.0 for p in probability) or sorted(probability) != probability:
            fail(f"{row['entity']}: {probability} is not a rising row of probabilities")
    if not Path(demo["report"]).is_file():
        fail(f"report {demo['report']} is not there")
    largest = demo["grpc"]["largest_difference_to_library"]
    if demo["grpc"]["rows"] < 1 or largest is None or not largest <= TOLERANCE:
        fail(f"gRPC and library differ by {largest} on {demo['grpc']['rows']} rows, allowed {TOLERANCE}")
    print(f"comparison of {len(models)} models equals evaluation.json; ten riskiest entities; "
          f"{demo['grpc']['rows']} gRPC answers within {largest:.1e} of the library")


def horizon(name, position):
    """Order of a probability column: its number where it has one, its place in the file otherwise."""
    number = re.match(r"\d+(?:[.p]\d+)?", name[len(PREFIX):])
    return (float(number.group().replace("p", ".")), position) if number else (math.inf, position)


def read_scores(folder):
    """(entity, incarnation, as_of) -> failure probabilities in the order of the horizons."""
    import pyarrow.parquet as pq

    manifests = sorted(Path(folder).glob("as_of=*/model=*/manifest.json"))
    if not manifests:
        fail(f"{folder}: no as_of=*/model=*/manifest.json; forewarn score did not finish")
    answers = {}
    for manifest in manifests:
        for part in sorted(manifest.parent.glob("part-*.parquet")):
            table = pq.ParquetFile(part).read()
            names = [name for name in table.column_names if name.startswith(PREFIX)]
            if not names:
                fail(f"{part}: no column starts with {PREFIX}; it has {table.column_names}")
            places = {name: place for place, name in enumerate(names)}
            names.sort(key=lambda name: horizon(name, places[name]))
            keys = zip(*(table.column(name).to_pylist() for name in ("entity", "incarnation", "as_of")))
            values = zip(*(table.column(name).to_pylist() for name in names))
            for key, row in zip(keys, values):
                if key in answers:
                    fail(f"{part}: row {key} is there twice")
                answers[key] = list(row)
    return answers


def identity(row):
    """(entity, incarnation or None, as_of) of an answer, whose entity is a key or an object with one."""
    entity = row["entity"]
    incarnation = row.get("incarnation")
    if isinstance(entity, dict):
        incarnation = entity.get("incarnation", incarnation)
        entity = entity["key"]
    return entity, incarnation, int(row["as_of"])


def compare(rows, folder, what):
    scores = read_scores(folder)
    by_entity = {}
    for (entity, incarnation, as_of), values in scores.items():
        by_entity.setdefault((entity, as_of), []).append((incarnation, values))
    largest = 0.0
    for row in rows:
        entity, incarnation, as_of = identity(row)
        found = [values for other, values in by_entity.get((entity, as_of), []) if incarnation in (None, other)]
        if len(found) != 1:
            fail(f"{what}: {len(found)} scored rows for entity {entity!r}, incarnation {incarnation!r}, as_of {as_of}")
        got = row["failure_probability"]
        if len(got) != len(found[0]):
            fail(f"{what}: {entity!r} has {len(got)} probabilities, forewarn score wrote {len(found[0])}")
        for index, (a, b) in enumerate(zip(got, found[0])):
            if not (isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(a - b) <= TOLERANCE):
                fail(f"{what}: {entity!r} at {as_of}, horizon {index}: {a} here, {b} by forewarn score")
            largest = max(largest, abs(a - b))
    if not rows:
        fail(f"{what}: no rows to compare")
    print(f"{what}: {len(rows)} rows equal forewarn score, largest difference {largest:.1e}")


def client_rows(path):
    """One JSON object per line."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def main(arguments):
    match arguments:
        case ["demo", demo, out]:
            check_demo(demo, out)
        case ["scores", demo, scores]:
            compare(read_json(demo)["riskiest"], scores, "riskiest entities of the demo, asked over gRPC")
        case ["client", answers, scores]:
            compare(client_rows(answers), scores, "Python client made by reflection")
        case _:
            fail(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
