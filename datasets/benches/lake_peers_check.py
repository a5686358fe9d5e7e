#!/usr/bin/env python3
"""Checks lake_peers.py against a loop over samples that says the definitions in plain words.

A few hundred series of two kinds, in both layouts, with gaps, late samples, resets, tiles without samples and windows
whose oldest tile is entered from outside; every idiom of both peers with `same` rules, and `plain` ones on data that
call for none.
"""

import itertools
import math
import os
import random
import sys
import tempfile

from lake_peers import ARRIVES_AFTER, GAP, HOUR, LAG, PEERS, TILE, WINDOWS, Layout

import polars as pl

DAY = 24 * HOUR
AS_OF = 1_795_000_000_000 // DAY * DAY
SCRAPE = 15_000


def series(rng, counter, clean):
    """Samples as (time, value, known_at), one and a half days that end at or before AS_OF."""
    samples, level = [], float(rng.randrange(1000, 9000))
    offset = rng.randrange(SCRAPE)
    time = AS_OF - 36 * HOUR + offset
    if not clean and rng.random() < 0.2:
        # Young: the oldest tile of the long window is the first there is.
        time = AS_OF - rng.randrange(1, 8) * HOUR // 2 + offset
    while time < AS_OF:
        if counter:
            level = float(rng.randrange(50)) if rng.random() < 0.002 else level + rng.randrange(9) / 4
        else:
            level = max(1.0, level + rng.randrange(-3, 4))
        late = not clean and rng.random() < 0.01
        samples.append((time, level, time + (TILE + LAG + 1 if late else ARRIVES_AFTER)))
        time += SCRAPE
        if not clean and rng.random() < 0.004:
            # Two scrapes missing are no gap, three are, and forty leave tiles without samples.
            time += rng.choice([2, 3, 4, 40]) * SCRAPE
    return samples


def expected(samples):
    """Features of one series, sample by sample."""
    taken = [(t, v) for t, v, known in samples if known <= (t // TILE + 1) * TILE + LAG and t < AS_OF]
    features = {}
    for hours, name in WINDOWS:
        inside = [(t, v) for t, v in taken if t >= AS_OF - hours * HOUR]
        rise = 0.0
        # Only steps between two samples inside count.
        for (t0, v0), (t1, v1) in zip(inside, inside[1:]):
            if t1 - t0 <= GAP:
                rise += v1 - v0 if v1 >= v0 else v1
        values = [v for _, v in inside]
        features |= {
            f"count.{name}": len(values),
            f"mean.{name}": math.fsum(values) / len(values),
            f"max.{name}": max(values),
            f"min.{name}": min(values),
            f"last.{name}": values[-1],
            f"increase.{name}": rise,
        }
    return features


def times(column):
    return column.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")


def write_long(folder, every):
    """A file a day, sorted by series and time, as a compacted lake has them."""
    rows = [(number, *sample) for number, samples in enumerate(every) for sample in samples]
    frame = pl.DataFrame(rows, schema=["series_id", "ts", "value", "known_at"], orient="row")
    paths = []
    for (day,), part in sorted(frame.with_columns(day=pl.col("ts") // DAY).group_by("day", maintain_order=True)):
        path = os.path.join(folder, f"long-{day}.parquet")
        part = part.sort("series_id", "ts").with_columns(times(pl.col("ts")), times(pl.col("known_at")))
        part.drop("day").write_parquet(path, row_group_size=5_000)
        paths.append(path)
    return paths


def write_wide(folder, entities):
    """Each entity's metrics share their times."""
    rows = []
    for number, metrics in enumerate(entities):
        for samples in zip(*metrics):
            rows.append((number, samples[0][0], *(value for _, value, _ in samples)))
    columns = ["a.gauge", "b.gauge", "c.counter", "d.counter"]
    frame = pl.DataFrame(rows, schema=["entity_id", "ts", *columns], orient="row")
    path = os.path.join(folder, "wide.parquet")
    frame.with_columns(times(pl.col("ts"))).write_parquet(path, row_group_size=5_000)
    return path, {name: name[2:] for name in columns}


def check(found, key, wanted, what):
    rows = {row[key]: row for row in found.to_dicts()}
    if len(rows) != len(wanted):
        sys.exit(f"{what}: {len(rows)} rows, {len(wanted)} expected")
    compared = 0
    for number, features in enumerate(wanted):
        for name, value in features.items():
            other = rows[number][name]
            same = other == value if "count" in name else math.isclose(other, value, rel_tol=1e-9, abs_tol=1e-300)
            if not same:
                sys.exit(f"{what}: {key} {number}, {name}: {other}, expected {value}")
            compared += 1
    print(f"{what}: {compared} values equal")


def aligned(rng, clean):
    """Four metrics over the same times, gaps included."""
    spine = [t for t, _, _ in series(rng, False, clean)]
    metrics = []
    for counter in (False, False, True, True):
        level = float(rng.randrange(1000, 9000))
        values = []
        for _ in spine:
            if counter:
                level = float(rng.randrange(50)) if rng.random() < 0.002 else level + rng.randrange(9) / 4
            else:
                level = max(1.0, level + rng.randrange(-3, 4))
            values.append(level)
        metrics.append([(t, v, t + ARRIVES_AFTER) for t, v in zip(spine, values)])
    return metrics


def main():
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        for clean in (True, False):
            every = [series(rng, number % 2 == 1, clean) for number in range(60)]
            layout = Layout.long(write_long(folder, every))
            wanted = [expected(samples) for samples in every]
            entities = [aligned(rng, clean) for _ in range(20)]
            path, kinds = write_wide(folder, entities)
            side_by_side = Layout.wide(path, kinds)
            wide_wanted = []
            for metrics in entities:
                row = {}
                for name, samples in zip(kinds, metrics):
                    of_kind = lambda key: key.startswith("increase") == (kinds[name] == "counter")
                    row |= {f"{name}.{key}": value for key, value in expected(samples).items() if of_kind(key)}
                wide_wanted.append(row)
            for peer, idiom, rules in itertools.product(PEERS, ("window", "order"), ("same", "plain")):
                if rules == "plain" and not clean:
                    continue
                what = f"{peer}, {idiom}, {rules}, {'clean' if clean else 'rough'} data"
                long, wide = (PEERS[peer](where, idiom, rules == "same") for where in (layout, side_by_side))
                check(long.features(AS_OF), "series_id", wanted, f"{what}, long")
                check(wide.features(AS_OF), "entity_id", wide_wanted, f"{what}, wide")


if __name__ == "__main__":
    main()
