#!/usr/bin/env python3
"""Lakes and data sets as pyarrow, polars and duckdb see them.

    interop.py PATH...

Reads every Parquet file that a lake's newest commit or a data set's manifest names with all three, and compares
rows, columns and a sum per numeric column with each other and with what we say of the file. NaN is left out of the
sums; stale marks are counted by their bits.
"""

import json
import math
import os
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def files_of(path):
    commits = os.path.join(path, "commits")
    if os.path.isdir(commits):
        newest = max(name for name in os.listdir(commits) if name.endswith(".json"))
        with open(os.path.join(commits, newest), encoding="utf-8") as file:
            return [(f["path"], f["rows"]) for f in json.load(file)["files"]]
    with open(os.path.join(path, "dataset.json"), encoding="utf-8") as file:
        return [(f["path"], f["rows"]) for f in json.load(file)["files"] if f["path"].endswith(".parquet")]


def sums_arrow(table):
    sums = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            # duckdb counts in microseconds.
            column = column.cast(pa.timestamp("ms", column.type.tz)).cast(pa.int64())
        if pa.types.is_floating(column.type):
            column = pc.drop_null(pc.if_else(pc.is_finite(column), column.cast(pa.float64()), None))
            sums[name] = math.fsum(column.to_pylist())
        elif pa.types.is_integer(column.type):
            sums[name] = sum(v for v in column.to_pylist() if v is not None)
    return sums


def sums_polars(frame):
    return sums_arrow(frame.to_arrow())


def sums_duckdb(path):
    return sums_arrow(duckdb.sql(f"select * from read_parquet('{path}', hive_partitioning = false)").to_arrow_table())


def main():
    duckdb.sql("set timezone = 'UTC'")
    compared = 0
    for root in sys.argv[1:]:
        for name, rows in files_of(root):
            path = os.path.join(root, name)
            arrow = pq.ParquetFile(path).read()
            polars = pl.read_parquet(path, hive_partitioning=False)
            seen = {"pyarrow": sums_arrow(arrow), "polars": sums_polars(polars), "duckdb": sums_duckdb(path)}
            counts = {"pyarrow": arrow.num_rows, "polars": polars.height,
                      "duckdb": duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0]}  # fmt: skip
            if set(counts.values()) != {rows}:
                sys.exit(f"{path}: {rows} rows by its manifest, read as {counts}")
            if list(arrow.column_names) != list(polars.columns):
                sys.exit(f"{path}: columns {arrow.column_names} to pyarrow, {polars.columns} to polars")
            for reader, sums in seen.items():
                if sums != seen["pyarrow"]:
                    other = {c: (seen["pyarrow"][c], sums.get(c)) for c in seen["pyarrow"] if sums.get(c) != seen["pyarrow"][c]}
                    sys.exit(f"{path}: {reader} reads other values than pyarrow: {other}")
            compared += 1
    if compared == 0:
        sys.exit("no Parquet file was compared")
    print(f"{compared} files read alike by pyarrow {pa.__version__}, polars {pl.__version__} and duckdb {duckdb.__version__}")


if __name__ == "__main__":
    main()
