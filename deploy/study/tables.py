"""Prints the tables of docs/study.md from the run folders of study.sh.

    python3 deploy/study/tables.py STUDY_FOLDER [--caracal FILE]

Runs that differ only in their seed share a line: the mean over seeds, with
each seed's value behind it, and intervals over held-out rows and seeds.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys

# The order of the lines, and what a reader calls the runs.
PRESETS = [
    ("swa_control", "swa_control"),
    ("lolcats", "lolcats"),
    ("hedgehog", "hedgehog"),
    ("inference_hybrid", "inference_hybrid"),
    ("hedgecats", "hedgecats"),
    ("ssd", "ssd"),
    ("ssd_closed_loop", "ssd, closed loop"),
]

# The mode that a preset's finished model runs in, where it is not hybrid: of
# runs whose attribution.json does not say it.
FINISHED = {"swa_control": "swa_only", "hedgehog": "la_only"}


def read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"tables.py: {path}: {error}")


class Run:
    """One finished run: its attribution and its steps."""

    def __init__(self, folder):
        matched = re.fullmatch(r"(.+)-s(\d+)-seed(\d+)", folder.name)
        self.folder = folder
        self.preset, self.sinks, self.seed = matched.groups()
        self.sinks = int(self.sinks)
        self.result = read_json(folder / "attribution.json")
        self.finished_as = (self.result["settings"].get("finished_as")
                            or FINISHED.get(self.preset, "hybrid"))
        self.steps = [
            json.loads(line)
            for line in (folder / "metrics.jsonl").read_text().splitlines()
        ]

    def loss(self, mode):
        modes = {**self.result["modes"], **self.result.get("baselines", {})}
        return modes[mode]["loss"] if mode in modes else None

    def interval(self, key):
        return self.result.get(key)


def number(value, digits=3, signed=False):
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", "−")


def over_seeds(values, digits=3, signed=False):
    """Mean, and the seeds' own values where there are several."""
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    text = number(statistics.mean(values), digits, signed)
    if len(values) > 1:
        each = ", ".join(number(v, digits, signed) for v in values)
        text += f" ({each})"
    return text


def interval(value):
    if value is None or value.get("low") is None:
        return "–"
    return (f"[{number(value['low'], 3, True)}, "
            f"{number(value['high'], 3, True)}]")


def print_table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def judge(runs, caracal):
    """Verdict, u and r of a group, as `caracal report` has them."""
    command = [caracal, "report", "--json"] + [str(r.folder) for r in runs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"tables.py: {' '.join(command)}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    if len(report["runs"]) != 1:
        sys.exit(f"tables.py: {', '.join(r.folder.name for r in runs)}: differ "
                 "in more than their seed")
    lines = {line["label"]: line["values"][0] for line in report["lines"]}
    return (report["runs"][0]["verdict"].split(" (")[0], lines.get("u"),
            lines.get("r = u / u*", {}))


def presets_table(groups, caracal):
    lines = []
    for name, runs in groups:
        word, u, ratio = judge(runs, caracal)
        lines.append([
            f"`{name}`",
            over_seeds([r.loss(r.finished_as) for r in runs]),
            over_seeds([r.loss("hybrid") for r in runs]),
            over_seeds([r.loss("swa_only") for r in runs]),
            over_seeds([r.loss("la_only") for r in runs]),
            over_seeds([r.interval("what_la_brings")["mean"] for r in runs],
                       3, True),
            interval(u),
            number(ratio.get("mean"), 2),
            word,
        ])
    print_table(
        ["run", "as finished", "hybrid", "swa_only", "la_only", "u", "95% of u", "r",
         "verdict"], lines)


def masses_table(groups):
    def mean_of(run, name):
        value = run.result["modes"]["hybrid"].get(name)
        return None if value is None else 100 * value

    lines = []
    for name, runs in groups:
        lines.append([
            f"`{name}`",
            over_seeds([mean_of(r, "la_mass") for r in runs], 1),
            over_seeds([mean_of(r, "teacher_out_mass") for r in runs], 1),
            over_seeds([mean_of(r, "la_output_share") for r in runs], 1),
        ])
    print_table(["run", "LA mass, %", "teacher's mass outside, %",
                 "LA's share of the output, %"], lines)


def trace_table(run, marker, columns):
    """The steps that have `marker`, one line each: (heading, field) columns."""
    print(f"{run.folder.name}")
    print_table(
        ["step"] + [heading for heading, _ in columns],
        [[str(step["step"])] + [number(step.get(field), 3)
                                for _, field in columns]
         for step in run.steps if marker in step])


EARLY_STOP = [("hybrid", "hybrid_loss"), ("swa_only", "swa_only_loss"),
              ("la_only", "la_only_loss"), ("score", "early_stop_score")]
CLOSED_LOOP = [("u", "u"), ("u*", "u_star"), ("r, smoothed", "r"),
               ("p from here", "next_drop_probability")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--caracal", default="bazel-bin/jobs/client/caracal")
    options = parser.parse_args()
    runs = [Run(f.parent)
            for f in sorted(options.folder.glob("*/attribution.json"))]
    if not runs:
        sys.exit(f"tables.py: {options.folder}: holds no finished run")

    first = runs[0]
    print("## Before any training")
    print_table(["teacher", "window, S = 0", "window, S = 4"],
                [[number(first.loss(mode)) for mode in
                  ("teacher", "teacher_swa_s0", "teacher_swa_s4")]])
    for sinks in sorted({r.sinks for r in runs}, reverse=True):
        print(f"## S = {sinks}")
        groups = []
        for preset, name in PRESETS:
            group = [r for r in runs
                     if r.preset == preset and r.sinks == sinks]
            if group:
                groups.append((name, group))
        presets_table(groups, options.caracal)
        masses_table(groups)
    for run in runs:
        if run.preset == "hedgecats":
            trace_table(run, "early_stop_score", EARLY_STOP)
        if run.preset == "ssd_closed_loop":
            trace_table(run, "next_drop_probability", CLOSED_LOOP)


if __name__ == "__main__":
    main()
