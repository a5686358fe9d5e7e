#!/usr/bin/env python3
"""Real senders against `forewarn ingest`: node_exporter, Prometheus, VictoriaMetrics and the OpenTelemetry SDK.

    services.py --forewarn BINARY --tools DIR --scratch DIR [--kills N] [--seconds N]

node_exporter is scraped every second by a Prometheus that writes to the receiver and to VictoriaMetrics. The
receiver is killed and started again on the way; the exporter is killed at the end. Then:

* every sample that Prometheus holds for the metrics we keep is in the lake once, and nothing else is;
* remote read in both forms and VictoriaMetrics' export bring the same samples into lakes of their own;
* so does a Parquet file written from one of these lakes, series by series as they were;
* moved back by whole days, so that their days are closed, remote write, remote read and Parquet give the same tiles,
  bit for bit;
* the death of the exporter left stale marks;
* points of the OpenTelemetry SDK are in the lake.

Only counts, statuses and equality are asserted, never a duration.
"""

import argparse
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq

STALE = 0x7FF0000000000002
started = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, command, scratch, **kwargs):
    log = open(os.path.join(scratch, f"{name}.log"), "ab")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kwargs)
    started.append(process)
    return process


def wait_for(url, what, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{what} did not answer at {url} within {seconds} s")


def get_json(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def run(forewarn, *arguments):
    done = subprocess.run([forewarn, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"forewarn {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def figure(port, name):
    """One of the receiver's own figures."""
    text = wait_for(f"http://127.0.0.1:{port}/metrics", "the receiver's figures").decode()
    for line in text.splitlines():
        if line.startswith(f"forewarn_ingest_{name} "):
            return int(float(line.rsplit(" ", 1)[1]))
    sys.exit(f"the receiver has no figure {name}:\n{text}")


def snapshot(lake):
    folder = os.path.join(lake, "commits")
    newest = max(name for name in os.listdir(folder) if name.endswith(".json"))
    with open(os.path.join(folder, newest), encoding="utf-8") as file:
        return json.load(file)


def rows(lake, table):
    """All rows of a table as (file of the commit, pyarrow table), read without our code."""
    for file in (f for f in snapshot(lake)["files"] if f["table"] == table):
        yield file, pq.ParquetFile(os.path.join(lake, file["path"])).read()


def bits(column):
    """A column as whole numbers; floats as their bits."""
    if pa.types.is_floating(column.type):
        return column.combine_chunks().view(pa.uint64()).to_pylist()
    return column.cast(pa.int64()).to_pylist()


def series_of(lake):
    """Series by id: (kind, key, incarnation, metric, part)."""
    names = {row["metric"]: row["id"] for _, table in rows(lake, "metrics") for row in table.to_pylist()}
    return {
        row["series_id"]: (row["kind"], row["key"], row["incarnation"], names[row["metric"]], row["part"])
        for _, table in rows(lake, "series")
        for row in table.to_pylist()
    }


def tables(lake, column="value"):
    """Samples by series as {ts: value bits}, or another column."""
    series = series_of(lake)
    samples = {}
    stored = 0
    for _, table in rows(lake, "samples"):
        stored += table.num_rows
        for id_, ts, value in zip(bits(table["series_id"]), bits(table["ts"]), bits(table[column])):
            samples.setdefault(series[id_], {})[ts] = value
    distinct = sum(len(of) for of in samples.values())
    if stored != distinct:
        sys.exit(f"{lake}: {stored} rows of {distinct} distinct samples: something is stored twice")
    return samples


def tiles(lake):
    """Tiles by series as {number: every field, floats as bits}."""
    series = series_of(lake)
    found = {}
    for file, table in rows(lake, "tiles"):
        whose = ["entity_id", "metric", "series_id", "number"]
        fields = [bits(table[name]) for name in table.column_names if name not in whose]
        for id_, number, *tile in zip(bits(table["series_id"]), bits(table["number"]), *fields):
            of = found.setdefault(series[id_], {})
            if number in of:
                sys.exit(f"{lake}/{file['path']}: tile {number} of {series[id_]} is there twice")
            of[number] = tuple(tile)
    return found


def parquet_lake(forewarn, samples, known, target, back=0):
    """Imports samples through Parquet files into a lake of their own, moved back by so many milliseconds.

    A mapping file speaks of one kind and one list of parts, so there is one file for each of these.
    """
    groups = {}
    for (kind, key, incarnation, metric, part), of in samples.items():
        parts = dict(pair.split("=", 1) for pair in part.split(",")) if part else {}
        columns = groups.setdefault((kind, tuple(parts)), {})
        seen = known[(kind, key, incarnation, metric, part)]
        for ts, value in of.items():
            row = {"_at": ts - back, "_seen": seen[ts] - back, "_key": key, "_incarnation": incarnation}
            for name, cell in {**row, "_metric": metric, "_value": value, **parts}.items():
                columns.setdefault(name, []).append(cell)
    os.makedirs(target + "-files", exist_ok=True)
    for number, ((kind, parts), columns) in enumerate(sorted(groups.items(), key=lambda group: group[0])):
        arrays = {name: pa.array(cells) for name, cells in columns.items()}
        # Through the bits: a NaN that is a stale mark must stay that NaN.
        arrays["_value"] = pa.array(columns["_value"], pa.uint64()).view(pa.float64())
        path = os.path.join(target + "-files", f"{number}.parquet")
        pq.write_table(pa.table(arrays), path)
        with open(path + ".toml", "w", encoding="utf-8") as file:
            file.write(f"""
[time]
column = "_at"
unit = "ms"
[known_at]
column = "_seen"
unit = "ms"
[entity]
kind = "{kind}"
key = ["_key"]
incarnation = "_incarnation"
part = {json.dumps(list(parts))}
[long]
metric = "_metric"
value = "_value"
""")
        out = run(forewarn, "ingest", "files", "--format", "parquet", "--mapping", path + ".toml", "--lake", target,
                  "--json", path)  # fmt: skip
        report = json.loads(out)
        if report["dropped"] or report["rows"] != len(columns["_at"]):
            sys.exit(f"{path}: {len(columns['_at'])} rows were written, the import says {out}")
    return target


def within(samples, start_ms, end_ms):
    cut = {key: {t: v for t, v in of.items() if start_ms <= t <= end_ms} for key, of in samples.items()}
    return {key: of for key, of in cut.items() if of}


def nearly(got, want):
    """`want` where `got` has the same series and times and values within 1e-12: VictoriaMetrics stores decimals."""
    real = lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
    near = lambda a, b: abs(real(a) - real(b)) <= 1e-12 * max(abs(real(a)), abs(real(b)))
    for key, samples in got.items():
        other = want.get(key, {})
        if samples.keys() != other.keys() or not all(near(samples[t], other[t]) for t in samples):
            return got
    return want if got.keys() == want.keys() else got


def same(what, got, want, of_what="samples", how="to the bit"):
    """Equal series, times and bits."""
    if got == want:
        print(f"{what}: {len(want)} series, {sum(map(len, want.values()))} {of_what}, equal {how}")
        return
    missing = [key for key in want if key not in got]
    extra = [key for key in got if key not in want]
    lines = [f"{what} differs: {len(missing)} series missing {missing[:3]}, {len(extra)} too many {extra[:3]}"]
    for key in sorted(set(got) & set(want)):
        if got[key] != want[key]:
            lost = sorted(set(want[key]) - set(got[key]))
            more = sorted(set(got[key]) - set(want[key]))
            other = [t for t in got[key] if t in want[key] and got[key][t] != want[key][t]]
            lines.append(f"  {key}: {len(lost)} lost {lost[:3]}, {len(more)} more {more[:3]}, {len(other)} other values")
    sys.exit("\n".join(lines[:12]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forewarn", required=True)
    parser.add_argument("--tools", required=True, help="folder with prometheus, prometheus-node-exporter, victoria-metrics")
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40, help="how long the receiver is killed again and again")
    args = parser.parse_args()
    random.seed(5)
    scratch, tool = args.scratch, lambda name: os.path.join(args.tools, name)
    os.makedirs(scratch, exist_ok=True)
    exporter, prometheus, victoria, ours, grpc = (free_port() for _ in range(5))
    lake = os.path.join(scratch, "lake")

    receiver_command = [
        args.forewarn, "ingest", "--listen", f"127.0.0.1:{ours}", "--otlp", f"127.0.0.1:{grpc}",
        "--lake", lake, "--flush-every", "1s",
    ]  # fmt: skip
    receiver = start("receiver", receiver_command, scratch)
    wait_for(f"http://127.0.0.1:{ours}/-/ready", "the receiver")
    node = start("node_exporter", [tool("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{exporter}"], scratch)
    start("victoria", [tool("victoria-metrics"), f"-httpListenAddr=127.0.0.1:{victoria}",
                       f"-storageDataPath={scratch}/vm", "-dedup.minScrapeInterval=0s"], scratch)  # fmt: skip
    wait_for(f"http://127.0.0.1:{victoria}/health", "VictoriaMetrics")
    config = os.path.join(scratch, "prometheus.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
remote_write:
  - url: http://127.0.0.1:{ours}/api/v1/write
    queue_config: {{min_backoff: 100ms, max_backoff: 500ms, batch_send_deadline: 1s}}
  - url: http://127.0.0.1:{victoria}/api/v1/write
""")
    start("prometheus", [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={scratch}/tsdb",
                         f"--web.listen-address=127.0.0.1:{prometheus}"], scratch)  # fmt: skip
    base = f"http://127.0.0.1:{prometheus}"
    wait_for(f"{base}/-/ready", "Prometheus")

    # The receiver dies without warning and comes back; Prometheus sends again what was not acknowledged.
    for kill in range(1, args.kills + 1):
        time.sleep(args.seconds / (args.kills + 1) * random.uniform(0.4, 1.6))
        stored = figure(ours, "rows_stored_total")
        # Not always just after it has been asked something.
        time.sleep(random.uniform(0, 0.2))
        receiver.send_signal(signal.SIGKILL)
        receiver.wait()
        receiver = start("receiver", receiver_command, scratch)
        wait_for(f"http://127.0.0.1:{ours}/-/ready", "the receiver, started again")
        replayed = figure(ours, "lake_rows_replayed")
        print(f"kill {kill}: {stored} rows acknowledged in that life, {replayed} taken up from the log by the next", flush=True)
    time.sleep(3)
    node.send_signal(signal.SIGKILL)
    node.wait()
    print(f"receiver killed {args.kills} times, exporter killed")

    def value(query):
        answer = get_json(f"{base}/api/v1/query?query={urllib.parse.quote(query)}")
        return answer["data"]["result"]

    for _ in range(100):
        if [row["value"][1] for row in value('up{job="node"}')] == ["0"]:
            break
        time.sleep(0.2)
    else:
        sys.exit("Prometheus never saw its target down")
    time.sleep(3)
    end_ms = int(time.time() * 1000) - 1000

    # Wait until nothing is pending on either queue.
    ours_label = f'url="http://127.0.0.1:{ours}/api/v1/write"'
    for _ in range(150):
        metrics = wait_for(f"{base}/metrics", "Prometheus").decode()
        sent = [l for l in metrics.splitlines() if l.startswith("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")]
        if sent and all(float(l.rsplit(" ", 1)[1]) * 1000 >= end_ms for l in sent):
            break
        time.sleep(0.2)
    else:
        sys.exit("Prometheus did not catch up:\n" + "\n".join(sent))
    failed = [l for l in metrics.splitlines() if l.startswith("prometheus_remote_storage_samples_failed_total") and ours_label in l]
    if any(float(l.rsplit(" ", 1)[1]) for l in failed):
        sys.exit(f"the receiver refused samples for good: {failed}")

    points = send_otlp(grpc)
    missing = json.loads(run(args.forewarn, "metrics", "check", "--url", base, "--json"))
    print(f"metrics check: {missing['offered']} names offered, {missing['used']} used, {len(missing['lacks'])} lacking")
    assert missing["used"] > 10, missing

    receiver.send_signal(signal.SIGTERM)
    if receiver.wait(timeout=60) != 0:
        sys.exit(f"the receiver ended with {receiver.returncode} after SIGTERM; see receiver.log")
    print(run(args.forewarn, "lake", "verify", lake).strip())

    lakes = {"remote write": tables(lake)}
    folders = {"remote write": lake}
    first = min(min(of) for (kind, *_), of in lakes["remote write"].items() if kind == "node")
    span = ["--from", str(first), "--to", str(end_ms + 1)]
    for name, extra in [("remote read, chunks", []), ("remote read, samples", ["--samples"])]:
        target = os.path.join(scratch, name.replace(", ", "-").replace(" ", "-"))
        for again in range(2):
            out = run(args.forewarn, "ingest", "prometheus", "--url", base, *span, "--lake", target, "--json", *extra)
        assert json.loads(out)["already_complete"], out
        lakes[name] = tables(target)
        folders[name] = target
    target = os.path.join(scratch, "victoria-export")
    run(args.forewarn, "ingest", "victoria", "--url", f"http://127.0.0.1:{victoria}", *span, "--lake", target, "--json")
    lakes["VictoriaMetrics export"] = tables(target)
    folders["VictoriaMetrics export"] = target
    name = "remote read, chunks"
    known = tables(folders[name], "known_at")
    folders["Parquet"] = parquet_lake(args.forewarn, lakes[name], known, os.path.join(scratch, "parquet"))
    lakes["Parquet"] = tables(folders["Parquet"])
    same("Parquet, all of it", lakes["Parquet"], lakes[name])
    same("Parquet, when it was known", tables(folders["Parquet"], "known_at"), known)

    # Merging the files of the day changes nothing.
    for name, folder in folders.items():
        run(args.forewarn, "lake", "compact", folder, "--today", "--json")
        same(f"{name}, compacted", tables(folder), lakes[name])

    nodes = {name: {k: v for k, v in within(of, first, end_ms).items() if k[0] == "node"} for name, of in lakes.items()}
    truth = nodes.pop("remote read, chunks")
    assert sum(map(len, truth.values())) > 1000, "too little history to compare"
    stale = sum(1 for of in truth.values() for bits in of.values() if bits == STALE)
    ended = sum(1 for of in nodes["remote write"].values() if STALE in of.values())
    assert ended > 10, f"only {ended} series of the killed exporter ended in a stale mark"
    print(f"stale marks: {stale} in Prometheus; {ended} series of the lake end in one")
    # VictoriaMetrics makes stale marks of its own, and keeps about fifteen digits of a value.
    for name, of in nodes.items():
        want = truth
        if name.startswith("Victoria"):
            drop = lambda samples: {k: w for k, v in samples.items() if (w := {t: b for t, b in v.items() if b != STALE})}
            of, want = drop(of), drop(truth)
            of = nearly(of, want)
        same(name, of, want, how="to 1e-12" if name.startswith("Victoria") else "to the bit")

    # Tiles are written of closed days, so all of it is moved three days back.
    back = 3 * 86_400_000
    want = None
    for name in ["remote read, chunks", "remote read, samples", "remote write", "Parquet"]:
        of = truth if name == "remote read, chunks" else nodes[name]
        target = os.path.join(scratch, "tiles-of-" + name.replace(", ", "-").replace(" ", "-"))
        parquet_lake(args.forewarn, of, tables(folders[name], "known_at"), target, back)
        report = json.loads(run(args.forewarn, "lake", "compact", target, "--json"))
        got = tiles(target)
        assert report["tiles"] == sum(map(len, got.values())) and len(got) > 10, report
        want = want or got
        same(f"tiles of {name}", got, want, "tiles")

    # A counter's start is a row of its own that nobody sent; it holds 0, as nothing that was sent does.
    pods = [of for (kind, *_), of in lakes["remote write"].items() if kind == "pod"]
    found = sum(1 for of in pods for value in of.values() if value != 0)
    assert found == points, f"{points} points were sent over OTLP, {found} are in the lake"
    print(f"OpenTelemetry SDK: {points} points sent, {points} in the lake")
    print("ok")


def send_otlp(port):
    """Sends through the real SDK; returns how many points of mapped metrics it sent."""
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    resource = Resource({"k8s.namespace.name": "shop", "k8s.pod.name": "cart-0", "k8s.pod.uid": "5" * 8})
    exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=resource)
    meter = provider.get_meter("services")
    counter = meter.create_counter("k8s.pod.cpu.time", unit="s")
    meter.create_observable_gauge("k8s.pod.memory.working_set", [lambda _: [Observation(123_456_789)]], unit="By")
    meter.create_observable_gauge("nobody.knows.this", [lambda _: [Observation(1)]])
    sent = 0
    for _ in range(3):
        counter.add(1.5)
        if not reader.force_flush(10_000):
            sys.exit("the OpenTelemetry SDK could not deliver")
        sent += 2
        time.sleep(0.05)
    provider.shutdown()
    # Shutting down collects once more.
    return sent + 2


if __name__ == "__main__":
    try:
        main()
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
