#!/usr/bin/env python3
"""How much a coordinator takes on this machine, on the loopback.

    bazel build -c opt //tests/load:all //jobs/client:caracal
    tests/load/load.py --folder bazel-bin --work DIR [--short]

DIR is made, on the disk that is measured, and removed. Prints a Markdown table
and fails where an answer is wrong or missing; how fast it is, people judge.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

JOB = """name: "load"
preset: "lolcats"
model {{ path: "{model}" }}
data {{ path: "{data}" }}
attention {{ window: 8 sinks: 2 features: 32 }}
budget {{ transfer_steps: 6 finetune_steps: 6 batch: 4 }}
threads: 1
"""


def syncs_per_second(path, seconds):
    """Appends of what a submission writes to the log, one by one."""
    page = bytes(4 * 4096 + 96)
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    count, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        os.write(fd, page)
        os.fdatasync(fd)
        count += 1
    os.close(fd)
    os.unlink(path)
    return count / seconds


class Server:
    def __init__(self, options, data, slots):
        self.process = subprocess.Popen(
            [options.folder / "tests/load/load_server", data, str(slots)],
            stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            sys.exit("load.py: load_server did not start")
        self.client = options.folder / "tests/load/load_client"

    def ask(self, *arguments, while_waiting=None):
        """What load_client says; `while_waiting` is called every second."""
        with subprocess.Popen([self.client, self.address,
                               *map(str, arguments)],
                              stdout=subprocess.PIPE, text=True) as client:
            while while_waiting:
                try:
                    client.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    while_waiting()
            out = client.stdout.read()
        if client.returncode != 0:
            raise subprocess.CalledProcessError(client.returncode, client.args)
        return json.loads(out)

    def memory(self):
        """Resident, MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = [l for l in status.splitlines() if l.startswith("VmRSS:")][0]
        return int(line.split()[1]) / 1024

    def end(self):
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit("load.py: load_server failed")


def row(what, figure):
    print(f"| {what} | {figure} |", flush=True)


def make_job(options):
    root = pathlib.Path(__file__).resolve().parents[2]
    model = root / "tests/golden/model/tiny_gqa"
    text = options.work / "text.txt"
    text.write_text("".join(
        f"In the year {1000 + i * 7 % 913} there were {i * i % 97} of them.\n"
        for i in range(700)))
    data = options.work / "train.h5"
    subprocess.run(
        [options.folder / "jobs/client/caracal", "data", "pack", "--tokenizer",
         model, "--input", text, "--seq-len", "48", "--out", data],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = options.work / "job.textproto"
    job.write_text(JOB.format(model=model, data=data))
    return job


def submissions(options, job):
    seconds = 0.5 if options.short else 5
    clients = 4 if options.short else 64
    jobs = 200 if options.short else 10000
    server = Server(options, options.work / "submit", 1)
    for _ in range(1 if options.short else 3):
        disk = syncs_per_second(options.work / "syncs", seconds)
        check = server.ask("check", seconds)["per_second"]
        row("a health check, one at a time",
            f"{check:,.0f}/s, {100 * check / disk:.0f}% of the same disk; one "
            f"and an fdatasync {1 / (1 / check + 1 / disk):,.0f}/s")
        for calls in (1, clients):
            one = server.ask("submit", job, 1, calls, seconds)["per_second"]
            at_a_time = "a call" if calls == 1 else f"{calls} calls"
            row(f"one client, {at_a_time} at a time",
                f"{one:,.0f} submissions/s, {100 * one / disk:.0f}% of "
                f"{disk:,.0f} fdatasync/s")
        many = server.ask("submit", job, clients, 1, seconds)
        row(f"{clients} clients", f"{many['per_second']:,.0f} submissions/s")
    while True:
        newest = server.ask("submit", job, 4, 1, 0.1)
        try:
            pages = server.ask("list", jobs)
            break
        except subprocess.CalledProcessError:
            if newest["submitted"] == 0:
                raise
    row(f"a page of 100 of {jobs:,}+ queued jobs",
        f"{pages['page_of_100_ms']:.1f} ms")
    row("a page of 1,000", f"{pages['page_of_1000_ms']:.1f} ms")
    row(f"{jobs:,} in pages of 1,000", f"{pages['all_ms']:.1f} ms")
    server.end()


def gangs(options, job):
    count = 40 if options.short else 1000
    seconds = 4 if options.short else 180
    data = options.work / "gangs"
    server = Server(options, data, count)
    submitted = 0
    while submitted < count:
        submitted += server.ask("submit", job, 1 if options.short else 8, 1,
                                0.1)["submitted"]
    deadline = time.monotonic() + 60
    while len(list((data / "gangs").glob("*-1/credential"))) < count:
        if time.monotonic() > deadline:
            sys.exit("load.py: gangs did not start")
        time.sleep(0.01)
    start, memory = time.monotonic(), []
    seen = server.ask("gangs", data, count, count, seconds,
                      while_waiting=lambda: memory.append(
                          (time.monotonic() - start, server.memory())))
    row(f"{count:,} gangs at 1 Hz, {count:,} streams, {seconds} s",
        f"{seen['heartbeats_per_second']:,.0f} heartbeats/s, p50 "
        f"{seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms, slowest "
        f"{seen['slowest_ms']:.0f} ms")
    # The first is that of a server whose streams are just being opened.
    wanted = [seconds * part / 6 for part in (1, 2, 3, 4, 5, 6)]
    samples = [min(memory, key=lambda sample: abs(sample[0] - at))
               for at in wanted]
    row("memory after " + ", ".join(f"{at:.0f}" for at, _ in samples) + " s",
        ", ".join(f"{mib:.1f}" for _, mib in samples) + " MiB")
    if seen["events"] < seen["events_wanted"]:
        sys.exit(f"load.py: {seen['events']} events came, of "
                 f"{seen['events_wanted']}")
    server.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--short", action="store_true",
                        help="does it all, in seconds: for tests")
    parser.add_argument("--only", choices=["submissions", "gangs"])
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True)
    try:
        job = make_job(options)
        print("| load | figure |\n|---|---|")
        if options.only != "gangs":
            submissions(options, job)
        if options.only != "submissions":
            gangs(options, job)
    finally:
        shutil.rmtree(options.work)


if __name__ == "__main__":
    main()
