#!/usr/bin/env python3
"""The lab's containers under a real Prometheus that writes to `forewarn ingest`.

    lab.py --forewarn BINARY --tools DIR --scratch DIR [--lives N] [--scripts FILE]

`forewarn lab run` lets containers live and die; a Prometheus scrapes its exporter every second and sends what it sees
to the receiver. Then:

* the target was up, containers were seen, and no scrape failed for what it held;
* every death that Prometheus could see in full is told in the receiver's lake, at its time and with its cause: a kill
  for memory as container_oom, an exit as container_crash, a kill after missed probes as probe_kill, an eviction as
  evicted;
* the receiver's lake holds the containers that the lab's own lake holds, with the memory that was measured.

Needs root, runc and mkfs.ext4, and no other run of the lab on this machine.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

# What a run of the lab may take, and what it gets after a signal to take its containers away, seconds.
LIMIT = 240
LEAVING = 60
# Events lie no further from the death than this, milliseconds: the kernel's second is cut off, a scrape may come late.
NEAR = 5_000
# The exporter ends with the lab: what died less than this before the last scrape may not have been seen, milliseconds.
LAST = 8_000
# Two scrapes and a third: what was there for so long was seen.
SEEN = 3_000
FEWEST = 3
RIGHT = {"oom": "container_oom", "exit": "container_crash", "probe": "probe_kill", "evicted": "evicted"}
# A scrape that failed for one of these says nothing of what the exporter writes.
NETWORK = ("connection refused", "connection reset", "context deadline exceeded", "EOF")
JOB = 'job="lab"'

started = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, command, scratch):
    with open(os.path.join(scratch, f"{name}.log"), "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    started.append(process)
    return process


def stop(process, what, patience=LEAVING):
    """Asks a process to end, and wants it to end well."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        sys.exit(f"{what} still ran {patience} s after SIGTERM")
    if code != 0:
        sys.exit(f"{what} ended with {code} after SIGTERM; see its log")


def stop_all():
    """Whatever still runs; the lab first, because it takes its containers away."""
    running = [process for process in reversed(started) if process.poll() is None]
    for process in running:
        process.terminate()
        try:
            process.wait(timeout=LEAVING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url, what, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{what} did not answer at {url} within {seconds} s")


def ask(base, query):
    """The rows of a query's answer."""
    answer = wait_for(f"{base}/api/v1/query?query={urllib.parse.quote(query)}", "Prometheus")
    return json.loads(answer)["data"]["result"]


def number(rows):
    """The value of the one row, or 0."""
    return float(rows[0]["value"][1]) if rows else 0.0


def run(forewarn, *arguments):
    done = subprocess.run([forewarn, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"forewarn {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def sql(forewarn, lake, query):
    answer = run(forewarn, "sql", query, "--lake", lake, "--format", "json")
    return [json.loads(line) for line in answer.splitlines() if line]


def tail(path, lines=12):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-lines:])


def prometheus(tool, scratch, exporter, receiver):
    """A Prometheus that scrapes the lab and writes to the receiver; the process and its address."""
    port = free_port()
    config = os.path.join(scratch, "prometheus.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: lab
    static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
remote_write:
  - url: http://127.0.0.1:{receiver}/api/v1/write
    queue_config: {{min_backoff: 100ms, max_backoff: 500ms, batch_send_deadline: 1s}}
""")
    process = start("prometheus", [tool, f"--config.file={config}", f"--storage.tsdb.path={scratch}/tsdb",
                                   f"--web.listen-address=127.0.0.1:{port}"], scratch)  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    wait_for(f"{base}/-/ready", "Prometheus")
    # It takes up its targets some seconds later; the lab begins when it looks.
    end = time.time() + 60
    while not ask(base, f"up{{{JOB}}}"):
        if time.time() > end:
            sys.exit("Prometheus never tried to scrape; see prometheus.log")
        time.sleep(0.2)
    return process, base


def watch(lab, base, log):
    """Asks Prometheus while the lab runs: most containers at a time. Ends where the lab ends."""
    up, containers, samples = 0.0, 0.0, 0.0
    end = time.time() + LIMIT
    while lab.poll() is None:
        if time.time() > end:
            sys.exit(f"the lab still ran after {LIMIT} s; it said last:\n{tail(log)}")
        up = max(up, number(ask(base, f"up{{{JOB}}}")))
        samples = max(samples, number(ask(base, f"scrape_samples_scraped{{{JOB}}}")))
        containers = max(containers, number(ask(base, "count(container_memory_working_set_bytes)")))
        targets = json.loads(wait_for(f"{base}/api/v1/targets", "Prometheus"))["data"]["activeTargets"]
        for error in (target["lastError"] for target in targets):
            if error and not any(word in error for word in NETWORK):
                sys.exit(f"Prometheus could not read what the lab shows: {error}")
        time.sleep(0.5)
    if lab.returncode != 0:
        sys.exit(f"the lab ended with {lab.returncode}; it said last:\n{tail(log)}")
    if up != 1 or not containers or not samples:
        sys.exit(f"Prometheus saw too little of the lab: up {up}, {containers} containers, {samples} samples a scrape")
    return int(containers)


def scrapes(base):
    """Moments of the scrapes that brought something, milliseconds, and how many in between brought nothing."""

    def raw(metric):
        rows = ask(base, f"{metric}{{{JOB}}}[1h]")
        return {int(float(at) * 1000): float(value) for at, value in rows[0]["values"]} if rows else {}

    up, samples = raw("up"), raw("scrape_samples_scraped")
    good = sorted(at for at in up if up[at] == 1 and samples.get(at, 0) > 0)
    if not good:
        sys.exit(f"none of {len(up)} scrapes of the lab brought a sample")
    holes = sum(1 for at in up if good[0] < at < good[-1] and at not in good)
    return good, holes


def sent(base, until_ms, seconds=30):
    """Waits until everything before a moment was sent; nothing may have been refused."""
    end = time.time() + seconds
    figures = {}
    while time.time() < end:
        text = wait_for(f"{base}/metrics", "Prometheus").decode()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("prometheus_remote_storage_"))
        figures = {name.split("{")[0].removeprefix("prometheus_remote_storage_"): float(value) for name, value in lines}
        if figures.get("queue_highest_sent_timestamp_seconds", 0) * 1000 >= until_ms:
            break
        time.sleep(0.2)
    else:
        sys.exit(f"Prometheus did not send everything within {seconds} s: {figures}")
    if figures.get("samples_failed_total", 0):
        sys.exit(f"the receiver refused {figures['samples_failed_total']:.0f} samples for good; see prometheus.log")


def read_lives(folder):
    """The lab's journal: of each start of a container the last line."""
    lives = {}
    with open(os.path.join(folder, "truth.jsonl"), encoding="utf-8") as file:
        for line in file:
            life = json.loads(line)
            lives[(life["uid"], life["run"], life["started_ms"])] = life
    return list(lives.values())


def unseen(death, lives, good):
    """Why Prometheus cannot have seen a death in full; None where it must have."""
    first, last = good[0], good[-1]
    born = min(life["started_ms"] for life in lives if life["uid"] == death["uid"])
    if death["ended_ms"] > last - LAST:
        return "too near to the lab's end"
    if death["ended_ms"] < max(born, first) + SEEN:
        return "too young"
    # A container that died is known by its restart, and that waits out a back-off.
    restarts = [life["started_ms"] for life in lives if life["uid"] == death["uid"] and life["run"] > death["run"]]
    if death["ending"] != "evicted" and min(restarts, default=last) > last - SEEN:
        return "not started again before the lab's end"
    return None


def is_right(death, event):
    """Whether an event tells of a death what it was."""
    # The shipped rules look two minutes back for missed probes: in the lab's time that is an earlier life, or a busy
    # machine's slow answers.
    slow = death["ending"] == "exit" and event["cause"] == "probe_kill"
    return event["cause"] == RIGHT[death["ending"]] or slow


def compare(lives, events, good):
    """Every death that was seen has an event of its own; numbers for the summary."""
    open_events = [event for event in events if event["cause"] != "crash_loop"]
    compared, left_out, farthest, slow = {}, {}, 0, 0
    wrong = []
    for death in sorted((life for life in lives if life["ending"] in RIGHT), key=lambda life: life["ended_ms"]):
        distance = lambda event: abs(event["at"] - death["ended_ms"])
        of_key = [event for event in open_events if event["key"] == death["key"]]
        near = (event for event in of_key if distance(event) <= NEAR and is_right(death, event))
        event = min(near, key=distance, default=None)
        if event:
            # Each tells of one death.
            open_events.remove(event)
        if why := unseen(death, lives, good):
            left_out[why] = left_out.get(why, 0) + 1
        elif event:
            compared[death["ending"]] = compared.get(death["ending"], 0) + 1
            farthest = max(farthest, distance(event))
            slow += event["cause"] != RIGHT[death["ending"]]
        else:
            told = [f"{e['cause']} {e['at'] - death['ended_ms']:+} ms ({e['evidence']})" for e in of_key]
            wrong.append(f"{death['key']} run {death['run']} died of {death['cause']} ({death['ending']}) at "
                         f"{death['ended_ms']} and is told as {told or 'nothing'}")  # fmt: skip
    if wrong:
        sys.exit("\n".join([*wrong[:8], f"{len(wrong)} deaths are not told as what they were"]))
    if sum(compared.values()) < FEWEST:
        sys.exit(f"{compared} deaths were compared, {FEWEST} are needed; left out: {left_out}")
    return compared, left_out, farthest, slow, len(open_events)


def working_sets(forewarn, lake):
    """What was measured of each container's memory: {key: values}."""
    query = "SELECT key, value FROM samples_named WHERE kind = 'container' AND metric = 'mem.working_set'"
    values = {}
    for row in sql(forewarn, lake, query):
        # The mark of an ended series is no number.
        if row.get("value") is not None:
            values.setdefault(row["key"], set()).add(row["value"])
    return values


def same_containers(lives, own, received, good):
    """The receiver has the lab's containers that were there long enough, and none of its values was made up."""
    first, last = good[0], good[-1]
    span = lambda life: min(life["ended_ms"] or last, last) - max(life["started_ms"], first)
    long = {life["key"] for life in lives if span(life) >= SEEN}
    if extra := sorted(received.keys() - own.keys()):
        sys.exit(f"containers of the receiver's lake that the lab's lake does not have: {extra[:5]}")
    if missing := sorted((own.keys() - received.keys()) & long):
        sys.exit(f"containers of the lab's lake that the receiver's lake does not have: {missing[:5]}")
    other = [(key, value) for key, values in received.items() for value in sorted(values - own[key])]
    if other:
        sys.exit(f"{len(other)} values of mem.working_set in the receiver's lake were never measured: {other[:5]}")
    return sum(map(len, received.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forewarn", required=True)
    parser.add_argument("--tools", required=True, help="folder with prometheus")
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--lives", type=int, default=40, help="some die in the last seconds and cannot be compared")
    parser.add_argument("--scripts", default="lab/tests/quick.toml", help="families of scripts")
    args = parser.parse_args()
    os.makedirs(args.scratch, exist_ok=True)
    ours, exporter = free_port(), free_port()
    lake, folder = (os.path.join(args.scratch, name) for name in ("lake", "lab"))

    command = [args.forewarn, "ingest", "--listen", f"127.0.0.1:{ours}", "--lake", lake]
    receiver = start("receiver", command, args.scratch)
    wait_for(f"http://127.0.0.1:{ours}/-/ready", "the receiver")
    scraper, base = prometheus(os.path.join(args.tools, "prometheus"), args.scratch, exporter, ours)
    command = [
        args.forewarn, "lab", "run", "--lives", str(args.lives), "--concurrency", "8", "--seed", "11", "--out", folder,
        "--scripts", args.scripts, "--exporter", f"127.0.0.1:{exporter}", "--no-dataset", "--json",
    ]  # fmt: skip
    began = time.time()
    lab = start("lab", command, args.scratch)
    most = watch(lab, base, os.path.join(args.scratch, "lab.log"))
    ended = time.time()
    print(f"the lab ended after {ended - began:.0f} s, {most} containers at a time seen by Prometheus", flush=True)

    # The exporter is gone; the scrapes that find nothing mark its series as ended, and are sent as well.
    sent(base, (ended + 2) * 1000)
    good, holes = scrapes(base)
    stop(scraper, "Prometheus")
    stop(receiver, "the receiver")
    told = json.loads(run(args.forewarn, "lake", "compact", lake, "--today", "--json"))["events"]
    print(f"{len(good)} scrapes, {holes} lost between them; events told: {told}", flush=True)

    lives = read_lives(folder)
    query = "SELECT key, cause, CAST(t_high AS BIGINT) AS at, evidence FROM events WHERE kind = 'container'"
    compared, left_out, farthest, slow, more = compare(lives, sql(args.forewarn, lake, query), good)
    own, received = working_sets(args.forewarn, os.path.join(folder, "lake")), working_sets(args.forewarn, lake)
    values = same_containers(lives, own, received, good)
    print(f"ok: {len(lives)} lives, {sum(compared.values())} deaths told as what they were {compared}, "
          f"at most {farthest} ms away, {slow} exits as probe kills, left out {left_out}, {more} events of nothing; "
          f"{len(received)} of {len(own)} containers in both lakes, {values} values of their memory equal")  # fmt: skip


if __name__ == "__main__":
    # Containers must not stay, also where a time limit ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    try:
        main()
    finally:
        stop_all()
