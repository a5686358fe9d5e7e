#!/usr/bin/env python3
"""The columns of the benchmark `lake`, by polars or duckdb: lake_peers.py polars|duckdb LAKE FEATURES AS_OF.

Reads the sample files of the newest commit, makes 5-minute tiles (count, sum, minimum, maximum, last; increase with
resets for counters) and from them the features of windows that end at AS_OF, two threads. Asserts that they are those
of FEATURES to 1e-6 relative, which is what single precision stores, and prints the version and the best of three times.
"""

import json
import os
import sys
import time

import polars as pl

HOUR = 3_600_000
TILE = 300_000


def files(lake):
    folder = os.path.join(lake, "commits")
    newest = max(name for name in os.listdir(folder) if name.endswith(".json"))
    with open(os.path.join(folder, newest), encoding="utf-8") as file:
        named = json.load(file)["files"]
    of = lambda table: [os.path.join(lake, f["path"]) for f in named if f["table"] == table]
    return of("samples"), of("series"), of("metrics"), of("tiles")


def names(series, metrics):
    return (
        pl.read_parquet(series, hive_partitioning=False)
        .join(pl.read_parquet(metrics, hive_partitioning=False).select("metric", "id", "kind"), on="metric",
              suffix="_of_metric")
        .select("series_id", "key", "id", pl.col("kind_of_metric").alias("metric_kind"))
    )  # fmt: skip


def with_polars(samples, as_of):
    rows = pl.scan_parquet(samples, hive_partitioning=False).select(
        "series_id", pl.col("ts").cast(pl.Int64).alias("t"), "value", pl.col("known_at").cast(pl.Int64)
    )
    rows = rows.filter(pl.col("t") < as_of)
    before = pl.col("value").shift(1).over("series_id")
    rise = pl.when(pl.col("value") >= before).then(pl.col("value") - before).otherwise(pl.col("value"))
    tiles = (
        rows.with_columns(rise=pl.when(before.is_null()).then(0.0).otherwise(rise), tile=pl.col("t") // TILE)
        .group_by("series_id", "tile", maintain_order=True)
        .agg(n=pl.len(), s=pl.sum("value"), low=pl.min("value"), high=pl.max("value"), last=pl.last("value"),
             rise=pl.sum("rise"))
    )  # fmt: skip
    columns = []
    for hours, name in [(1, "1h"), (24, "24h")]:
        inside = pl.col("tile") >= (as_of - hours * HOUR) // TILE
        columns += [
            (pl.col("s").filter(inside).sum() / pl.col("n").filter(inside).sum()).alias(f"mean.{name}"),
            pl.col("high").filter(inside).max().alias(f"max.{name}"),
            pl.col("low").filter(inside).min().alias(f"min.{name}"),
            pl.col("last").filter(inside).last().alias(f"last.{name}"),
            pl.col("rise").filter(inside).sum().alias(f"increase.{name}"),
        ]
    return tiles.group_by("series_id").agg(columns).collect(engine="streaming")


def with_duckdb(samples, as_of):
    import duckdb

    duckdb.sql("set threads = 2; set timezone = 'UTC'")
    listed = ", ".join(f"'{path}'" for path in samples)
    windows = []
    for hours, name in [(1, "1h"), (24, "24h")]:
        inside = f"filter (where tile >= {(as_of - hours * HOUR) // TILE})"
        windows.append(
            f"sum(s) {inside} / sum(n) {inside} as \"mean.{name}\", max(high) {inside} as \"max.{name}\", "
            f"min(low) {inside} as \"min.{name}\", arg_max(final, tile) {inside} as \"last.{name}\", "
            f"sum(rise) {inside} as \"increase.{name}\""
        )
    query = f"""
        with rows as (
            select series_id, epoch_ms(ts) as t, value,
                   lag(value) over (partition by series_id order by ts) as before
            from read_parquet([{listed}], hive_partitioning = false) where epoch_ms(ts) < {as_of}
        ), tiles as (
            select series_id, t // {TILE} as tile, count(*) as n, sum(value) as s, min(value) as low, max(value) as high,
                   arg_max(value, t) as final,
                   sum(case when before is null then 0 when value >= before then value - before else value end) as rise
            from rows group by all
        )
        select series_id, {", ".join(windows)} from tiles group by series_id
    """
    return duckdb.sql(query).pl()


def compare(found, named, features):
    ours = pl.read_parquet(features)
    joined = found.join(named, on="series_id")
    by = {(row["key"], row["id"]): row for row in joined.to_dicts()}
    worst = 0.0
    compared = 0
    for row in ours.to_dicts():
        for column, value in row.items():
            if column == "key":
                continue
            # METRIC.STATISTIC.WINDOW
            metric, statistic, window = column.rsplit(".", 2)
            other = by[(row["key"], metric)][f"{statistic}.{window}"]
            apart = abs(other - value) / max(abs(other), abs(value), 1.0)
            worst = max(worst, apart)
            compared += 1
            if apart > 1e-6:
                sys.exit(f"{row['key']} {column}: {value} here, {other} there")
    return compared, worst


def compare_tiles(samples, tiles, named):
    """The lake's own tiles against polars on the same samples: counts and extremes exact, sums to 1e-9."""
    inside = pl.col("value").shift(1).over("series_id", "number")
    rise = pl.when(pl.col("value") >= inside).then(pl.col("value") - inside).otherwise(pl.col("value"))
    made = (
        pl.scan_parquet(samples, hive_partitioning=False)
        .select("series_id", (pl.col("ts").cast(pl.Int64) // TILE).alias("number"), "value")
        .with_columns(rise=pl.when(inside.is_null()).then(0.0).otherwise(rise))
        .group_by("series_id", "number", maintain_order=True)
        .agg(n=pl.len(), s=pl.sum("value"), low=pl.min("value"), high=pl.max("value"), final=pl.last("value"),
             rise=pl.sum("rise"))
        .collect(engine="streaming")
    )  # fmt: skip
    stored = pl.read_parquet(tiles, hive_partitioning=False)
    both = stored.join(made, on=["series_id", "number"]).join(named, on="series_id")
    if not stored.height == made.height == both.height:
        sys.exit(f"{stored.height} tiles in the lake, {made.height} made, {both.height} in both")
    far = lambda a, b: (a - b).abs() > 1e-9 * pl.max_horizontal(a.abs(), b.abs(), 1.0)
    gauge, counter = pl.col("metric_kind") == "gauge", pl.col("metric_kind") == "counter"
    wrong = both.filter(
        (pl.col("count") != pl.col("n")) | (pl.col("last") != pl.col("final"))
        | (gauge & ((pl.col("v0") != pl.col("low")) | (pl.col("v1") != pl.col("high"))
                    | far(pl.col("first") * pl.col("count") + pl.col("v2"), pl.col("s"))))
        | (counter & far(pl.col("v0"), pl.col("rise")))
    )  # fmt: skip
    if wrong.height:
        sys.exit(f"{wrong.height} of {both.height} tiles differ:\n{wrong.head(3)}")
    kinds = dict(both.group_by("metric_kind").len().iter_rows())
    if min(kinds.get("gauge", 0), kinds.get("counter", 0)) == 0:
        sys.exit(f"kinds of tiles: {kinds}")
    return both.height


def main():
    peer, lake, features, as_of = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    samples, series, metrics, tiles = files(lake)
    work = with_polars if peer == "polars" else with_duckdb
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        found = work(samples, as_of)
        best = min(best, time.perf_counter() - begun)
    named = names(series, metrics)
    compared, worst = compare(found, named, features)
    if peer == "polars":
        print(f"{compare_tiles(samples, tiles, named)} tiles equal, sums to 1e-9", file=sys.stderr)
    version = __import__(peer).__version__
    print(f"{version} {compared} values equal, worst {worst:.1e} in {best:.3f}")


if __name__ == "__main__":
    main()
