#!/usr/bin/env python3
"""The columns of the benchmark `lake`, by polars or duckdb, two threads.

    lake_peers.py polars|duckdb window|order same|plain LAKE FEATURES AS_OF [WIDE]

Reads the sample files of the newest commit of LAKE (or the file WIDE: entity_id, ts and a column per metric), makes
5-minute tiles and from them the features of the windows that end at AS_OF. Asserts that they are those of FEATURES,
that tiles are those the lake keeps, and prints one line of JSON: version, wall and processor seconds of the best of
three passes, peak memory, what was compared.

Definitions, as in features/src/tile: a counter that falls has grown from zero; the step between two tiles belongs to
the newer one, and a window never counts the step that enters it from outside, so that of its oldest tile is left out.
`same` applies the two rules that the data of this benchmark never calls for but that we look at for every sample: one
known later than its tile closes is left out, and no step is counted over more than the longest gap. `plain` leaves both
out and does not read `known_at`; stale marks, duplicates and starts of lives are looked at by us alone.

Idioms: `window` asks for the sample before by a window function over the series and is right whatever the order
of the rows; `order` takes the row before, and is right because the files are sorted.

Equality: counts exact and sums to 1e-9 relative for tiles (doubles); features are stored in single precision, so a
peer's double is rounded to single and must be that number or its neighbour (1 ulp).
"""

import json
import os
import resource
import sys
import time

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl

HOUR = 3_600_000
TILE = 300_000
LAG = 60_000
# Three scrapes, as the spec of the benchmark has it; the lake's own tiles allow a whole tile.
GAP = 45_000
WINDOWS = [(1, "1h"), (24, "24h")]
# Milliseconds from sample to arrival, which the wide file does not keep.
ARRIVES_AFTER = 800


def files(lake):
    folder = os.path.join(lake, "commits")
    newest = max(name for name in os.listdir(folder) if name.endswith(".json"))
    with open(os.path.join(folder, newest), encoding="utf-8") as file:
        named = json.load(file)["files"]
    # By path is by day, and within a day by entity.
    of = lambda table: sorted(os.path.join(lake, f["path"]) for f in named if f["table"] == table)
    return of("samples"), of("series"), of("metrics"), of("tiles")


def names(series, metrics):
    return (
        pl.read_parquet(series, hive_partitioning=False)
        .join(pl.read_parquet(metrics, hive_partitioning=False).select("metric", "id", "metric_kind"), on="metric")
        .select("series_id", "entity_id", "id", "metric_kind")
    )  # fmt: skip


class Layout:
    """Where the rows are: one value per row and series, or all metrics of an entity side by side."""

    def __init__(self, paths, key, gauges, counters, known_at, prefix):
        self.paths, self.key, self.gauges, self.counters = paths, key, gauges, counters
        self.known_at, self.prefix = known_at, prefix

    @classmethod
    def long(cls, samples):
        return cls(samples, "series_id", ["value"], ["value"], "known_at", lambda _: "")

    @classmethod
    def wide(cls, path, kinds):
        of = lambda kind: [name for name in pl.read_parquet_schema(path) if kinds.get(name) == kind]
        return cls([path], "entity_id", of("gauge"), of("counter"), None, lambda column: f"{column}.")

    @property
    def columns(self):
        return list(dict.fromkeys(self.gauges + self.counters))


class Polars:
    def __init__(self, layout, idiom, same):
        self.layout, self.idiom, self.same = layout, idiom, same

    def tiles(self, as_of, gap=GAP, counts=False):
        layout = self.layout
        time = pl.col("ts").cast(pl.Int64)
        known = pl.col("known_at").cast(pl.Int64) if layout.known_at else time + ARRIVES_AFTER
        rows = pl.scan_parquet(layout.paths, hive_partitioning=False)
        rows = rows.select(layout.key, time.alias("t"), *layout.columns, *([known.alias("known")] * self.same))
        rows = rows.filter(pl.col("t") < as_of).with_columns(tile=pl.col("t") // TILE)
        if self.same:
            rows = rows.filter(pl.col("known") <= (pl.col("tile") + 1) * TILE + LAG)
        if self.idiom == "window":
            before = lambda column: pl.col(column).shift(1).over(layout.key)
            linked = before("tile") == pl.col("tile")
        else:
            before = lambda column: pl.col(column).shift(1)
            linked = (before(layout.key) == pl.col(layout.key)) & (before("tile") == pl.col("tile"))
        if self.same:
            linked = linked & (pl.col("t") - before("t") <= gap)
        steps = [step(c, before(c), linked).alias(f"step.{c}") for c in layout.counters]
        falls = [(linked & (pl.col(c) < before(c))).fill_null(False).alias(f"falls.{c}") for c in layout.counters]
        return (
            rows.with_columns(steps + (falls if counts else []))
            .group_by(layout.key, "tile", maintain_order=True)
            .agg(
                pl.len().alias("n"),
                pl.first("t").alias("t_first"),
                pl.last("t").alias("t_last"),
                *(pl.sum(c).alias(f"sum.{c}") for c in layout.gauges),
                *(pl.min(c).alias(f"low.{c}") for c in layout.gauges),
                *(pl.max(c).alias(f"high.{c}") for c in layout.gauges),
                *(pl.first(c).alias(f"first.{c}") for c in layout.counters),
                *(pl.last(c).alias(f"last.{c}") for c in layout.columns),
                *(pl.sum(f"step.{c}").alias(f"rise.{c}") for c in layout.counters),
                *(pl.sum(f"falls.{c}") for c in layout.counters if counts),
            )
        )

    def collect_tiles(self, as_of, gap, counts):
        return self.tiles(as_of, gap, counts).collect(engine="streaming")

    def features(self, as_of):
        layout, p = self.layout, self.layout.prefix
        # Tiles of a series are in order of time, but not next to each other: each day has a file of its own.
        before = lambda column: pl.col(column).shift(1).over(layout.key)
        linked = before("tile").is_not_null()
        if self.same:
            linked = linked & (pl.col("t_first") - before("t_last") <= GAP)
        tiles = self.tiles(as_of).with_columns(
            before("tile").alias("tile.before"),
            *(step(f"first.{c}", before(f"last.{c}"), linked).alias(f"enter.{c}") for c in layout.counters),
        )
        columns = []
        for hours, name in WINDOWS:
            oldest = (as_of - hours * HOUR) // TILE
            inside = pl.col("tile") >= oldest
            of = lambda column: pl.col(column).filter(inside)
            for c in layout.gauges:
                columns += [
                    of("n").sum().alias(f"{p(c)}count.{name}"),
                    (of(f"sum.{c}").sum() / of("n").sum()).alias(f"{p(c)}mean.{name}"),
                    of(f"high.{c}").max().alias(f"{p(c)}max.{name}"),
                    of(f"low.{c}").min().alias(f"{p(c)}min.{name}"),
                    of(f"last.{c}").last().alias(f"{p(c)}last.{name}"),
                ]
            for c in layout.counters:
                entered = pl.col(f"enter.{c}").filter(pl.col("tile.before") >= oldest)
                columns.append((of(f"rise.{c}").sum() + entered.sum()).alias(f"{p(c)}increase.{name}"))
        return tiles.group_by(layout.key).agg(columns).collect(engine="streaming")


def step(column, before, linked):
    value = pl.col(column)
    return pl.when(linked).then(pl.when(value >= before).then(value - before).otherwise(value)).otherwise(0.0)


class Duckdb:
    def __init__(self, layout, idiom, same):
        import duckdb

        duckdb.sql("set threads = 2; set timezone = 'UTC'")
        self.sql, self.layout, self.idiom, self.same = duckdb.sql, layout, idiom, same

    def tiles(self, as_of, gap=GAP, counts=False):
        layout = self.layout
        listed = ", ".join(f"'{path}'" for path in layout.paths)
        columns = ", ".join(f'"{c}"' for c in layout.columns)
        known = "epoch_ms(known_at)" if layout.known_at else f"epoch_ms(ts) + {ARRIVES_AFTER}"
        in_time = f"and {known} <= (epoch_ms(ts) // {TILE} + 1) * {TILE} + {LAG}" if self.same else ""
        if self.idiom == "window":
            before = lambda column: f'lag("{column}") over before'
            linked = f"{before('tile')} = tile"
            window = f"window before as (partition by {layout.key} order by t)"
            first, last = (lambda c: f'arg_min("{c}", t)'), (lambda c: f'arg_max("{c}", t)')
        else:
            # Without order and partition this streams, in one thread and in the order of the files.
            before = lambda column: f'lag("{column}") over ()'
            linked = f"{before(layout.key)} = {layout.key} and {before('tile')} = tile"
            window = ""
            first, last = (lambda c: f'first("{c}")'), (lambda c: f'last("{c}")')
        if self.same:
            linked += f" and t - {before('t')} <= {gap}"
        steps = [f'{sql_step(c, before(c), "linked")} as "step.{c}"' for c in layout.counters]
        falls = [f'(linked and "{c}" < {before(c)})::integer as "falls.{c}"' for c in layout.counters if counts]
        parts = ["count(*) as n", f"{first('t')} as t_first", f"{last('t')} as t_last"]
        parts += [f'sum("{c}") as "sum.{c}", min("{c}") as "low.{c}", max("{c}") as "high.{c}"' for c in layout.gauges]
        parts += [f'{first(c)} as "first.{c}", sum("step.{c}") as "rise.{c}"' for c in layout.counters]
        parts += [f'{last(c)} as "last.{c}"' for c in layout.columns]
        parts += [f'sum("falls.{c}") as "falls.{c}"' for c in layout.counters if counts]
        return f"""
            rows as (
                select {layout.key}, epoch_ms(ts) as t, epoch_ms(ts) // {TILE} as tile, {columns}
                from read_parquet([{listed}], hive_partitioning = false) where epoch_ms(ts) < {as_of} {in_time}
            ), steps as (
                select *, {linked} as linked, {", ".join(steps + falls)} from rows {window}
            ), tiles as (
                select {layout.key}, tile, {", ".join(parts)} from steps group by {layout.key}, tile
            )
        """

    def collect_tiles(self, as_of, gap, counts):
        return self.sql(f"with {self.tiles(as_of, gap, counts)} select * from tiles").pl()

    def features(self, as_of):
        layout, p = self.layout, self.layout.prefix
        before = lambda column: f'lag("{column}") over before'
        linked = f"{before('tile')} is not null"
        if self.same:
            linked += f" and t_first - {before('t_last')} <= {GAP}"
        enters = [f'{sql_step("first." + c, before("last." + c), linked)} as "enter.{c}"' for c in layout.counters]
        columns = []
        for hours, name in WINDOWS:
            oldest = (as_of - hours * HOUR) // TILE
            inside = f"filter (where tile >= {oldest})"
            for c in layout.gauges:
                columns += [
                    f'sum(n) {inside} as "{p(c)}count.{name}"',
                    f'sum("sum.{c}") {inside} / sum(n) {inside} as "{p(c)}mean.{name}"',
                    f'max("high.{c}") {inside} as "{p(c)}max.{name}"',
                    f'min("low.{c}") {inside} as "{p(c)}min.{name}"',
                    f'arg_max("last.{c}", tile) {inside} as "{p(c)}last.{name}"',
                ]
            for c in layout.counters:
                entered = f'coalesce(sum("enter.{c}") filter (where tile_before >= {oldest}), 0)'
                columns.append(f'sum("rise.{c}") {inside} + {entered} as "{p(c)}increase.{name}"')
        return self.sql(f"""
            with {self.tiles(as_of)}, entered as (
                select *, {before("tile")} as tile_before, {", ".join(enters)} from tiles
                window before as (partition by {layout.key} order by tile)
            )
            select {layout.key}, {", ".join(columns)} from entered group by {layout.key}
        """).pl()


def sql_step(column, before, linked):
    value = f'"{column}"'
    return f"case when {linked} then case when {value} >= {before} then {value} - {before} else {value} end else 0 end"


PEERS = {"polars": Polars, "duckdb": Duckdb}


def compare(found, layout, named, features):
    """Every value of FEATURES against the peer's, rounded to single precision; how many are equal to the bit."""
    ours = pl.read_parquet(features).unpivot(index="entity_id", variable_name="column", value_name="ours")
    if layout.key == "series_id":
        found = found.join(named.select("series_id", "entity_id", "id"), on="series_id").drop("series_id")
        found = found.cast({name: pl.Float64 for name in found.columns if name not in ("entity_id", "id")})
        theirs = found.unpivot(index=["entity_id", "id"], value_name="theirs")
        theirs = theirs.select("entity_id", pl.concat_str("id", pl.lit("."), "variable").alias("column"), "theirs")
    else:
        found = found.cast({name: pl.Float64 for name in found.columns if name != "entity_id"})
        theirs = found.unpivot(index="entity_id", variable_name="column", value_name="theirs")
    both = ours.join(theirs, on=["entity_id", "column"], how="left")
    if both.height != ours.height or both["theirs"].null_count():
        sys.exit(f"{both['theirs'].null_count()} of {ours.height} values are not there:\n{both.head(3)}")
    a = both["ours"].cast(pl.Float32).to_numpy()
    b = both["theirs"].cast(pl.Float32).to_numpy()
    # Numbers of one sign are neighbours where their bits, read as whole numbers, are.
    apart = abs(a.view("int32").astype("int64") - b.view("int32").astype("int64"))
    apart[a == b] = 0
    apart[(a != a) & (b != b)] = 0
    exact = pl.Series(apart == 0)
    counts = both["column"].str.contains(".count.", literal=True)
    wrong = both.filter(pl.Series(apart > 1) | (counts & ~exact))
    if wrong.height:
        sys.exit(f"{wrong.height} of {both.height} values differ by more than 1 ulp:\n{wrong.head(5)}")
    return both.height, int(exact.sum())


def compare_tiles(peer, as_of, tiles, named):
    """The lake's own tiles against the peer's of the same samples: counts and extremes exact, sums to 1e-9."""
    made = peer.collect_tiles(as_of, TILE, True).rename({"tile": "number"})
    stored = pl.read_parquet(tiles, hive_partitioning=False)
    both = stored.join(made, on=["series_id", "number"]).join(named, on="series_id")
    if not stored.height == made.height == both.height:
        sys.exit(f"{stored.height} tiles in the lake, {made.height} made, {both.height} in both")
    far = lambda a, b: (a - b).abs() > 1e-9 * pl.max_horizontal(a.abs(), b.abs(), 1e-300)
    gauge, counter = pl.col("metric_kind") == "gauge", pl.col("metric_kind") == "counter"
    other = lambda a, b: pl.col(a).cast(pl.Float64) != pl.col(b).cast(pl.Float64)
    wrong = both.filter(
        other("count", "n") | other("last", "last.value") | other("first", "first.value")
        | (gauge & (other("v0", "low.value") | other("v1", "high.value")
                    | far(pl.col("first") * pl.col("count") + pl.col("v2"), pl.col("sum.value"))))
        | (counter & (far(pl.col("v0"), pl.col("rise.value")) | other("c1", "falls.value")
                      | (pl.col("c0").cast(pl.Int64) != pl.col("count").cast(pl.Int64) - 1)))
    )  # fmt: skip
    if wrong.height:
        sys.exit(f"{wrong.height} of {both.height} tiles differ:\n{wrong.head(3)}")
    kinds = dict(both.group_by("metric_kind").len().iter_rows())
    if min(kinds.get("gauge", 0), kinds.get("counter", 0)) == 0:
        sys.exit(f"kinds of tiles: {kinds}")
    return both.height


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    name, idiom, rules, lake, features, as_of = *sys.argv[1:6], int(sys.argv[6])
    samples, series, metrics, tiles = files(lake)
    named = names(series, metrics)
    wide = sys.argv[7] if len(sys.argv) > 7 else None
    kinds = dict(named.select("id", "metric_kind").unique().iter_rows())
    layout = Layout.wide(wide, kinds) if wide else Layout.long(samples)
    peer = PEERS[name](layout, idiom, rules == "same")
    best, cpu = float("inf"), 0.0
    for _ in range(3):
        begun, used = time.perf_counter(), processor()
        found = peer.features(as_of)
        seconds = time.perf_counter() - begun
        if seconds < best:
            best, cpu = seconds, processor() - used
    # Not ru_maxrss, which a process inherits from the one that started it.
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    values, exact = compare(found, layout, named, features)
    said = {
        "version": __import__(name).__version__,
        "seconds": best,
        "cpu": cpu,
        "peak_kib": peak,
        "values": values,
        "exact": exact,
        "tiles": 0 if wide else compare_tiles(peer, as_of, tiles, named),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
