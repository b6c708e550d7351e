"""Writes the tables of docs/scaling.md, all from `caracal plan --json`.

    python3 deploy/scaling/tables.py --caracal FILE docs/scaling.md [--check]

A table stands between the lines `<!-- table NAME -->` and `<!-- end -->`.
--check changes nothing and fails where a table is not what the tool says now.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

# Shapes alone: hidden, MLP columns, layers, query heads, key heads, vocabulary.
MODELS = {
    "135M": (576, 1536, 30, 9, 3, 49152),
    "8B": (4096, 14336, 32, 32, 8, 128256),
    "70B": (8192, 28672, 80, 64, 8, 128256),
    "405B": (16384, 53248, 126, 128, 8, 128256),
}
GPUS = (8, 16, 64, 256, 1024)
STAGES = ("transfer", "finetune")

JOB = """preset: "lolcats"
model { path: "%s" }
data { path: "train.h5" seq_len: 1024 }
attention { window: 64 features: 64 }
budget { transfer_steps: 1 finetune_steps: 1 batch: 1024 }
"""

# H200s, `caracal bench` (docs/benchmarks.md).
MEASURED = json.loads((pathlib.Path(__file__).absolute().parents[2] /
                       "jobs/plan/measured_steps.json").read_text())


class Tool:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.seen = binary, folder, {}
        for name, shape in MODELS.items():
            hidden, columns, layers, heads, keys, vocabulary = shape
            model = folder / name
            model.mkdir()
            (model / "config.json").write_text(json.dumps({
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "hidden_size": hidden,
                "intermediate_size": columns,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "num_key_value_heads": keys,
                "vocab_size": vocabulary,
                "max_position_embeddings": 131072,
                "rms_norm_eps": 1e-5,
                "rope_theta": 5e5,
                "tie_word_embeddings": name == "135M",
            }))
            (folder / f"{name}.textproto").write_text(JOB % name)

    def plan(self, model, gpus, gpu, *options):
        """The plan, or the error in a word or two."""
        key = (model, gpus, gpu, options)
        if key not in self.seen:
            run = subprocess.run(
                [self.binary, "plan", str(self.folder / f"{model}.textproto"),
                 "--gpus", str(gpus), "--gpu", gpu, "--json", *options],
                capture_output=True, text=True)
            if run.returncode == 0:
                self.seen[key] = json.loads(run.stdout)
            else:
                found = re.search(r"takes ([\d.]+ \wiB)", run.stderr)
                if not found and "cannot be" not in run.stderr:
                    sys.exit(run.stderr)
                self.seen[key] = (f"does not fit: takes {found[1]} at least"
                                  if found else "no layout")
        return self.seen[key]


def gib(count):
    return f"{count / 2**30:.1f}"


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if count >= 100 or unit == "B" \
                else f"{count:.1f} {unit}"
        count /= 1024


def seconds(value):
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def shares(layout, least=0.05):
    parts = sorted(layout["time"].items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {100 * value / layout['seconds']:.0f}%"
                     for name, value in parts
                     if value >= least * layout["seconds"])


def table(titles, rows):
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def by_gpus(tool, stage, gpu):
    rows = []
    for model in ("8B", "70B", "405B"):
        base = None
        for gpus in GPUS:
            # A stage by itself, so that each shows the best it can do.
            plan = tool.plan(model, gpus, gpu, "--set",
                             f"budget.{STAGES[1 - stage]}_steps=0")
            if isinstance(plan, str):
                rows.append([model, f"{gpus:,}", plan] + [""] * 6)
                continue
            p = plan["stages"][0]["proposed"]
            each = p["tokens_per_s"] / gpus
            base = base or each
            rows.append([
                model, f"{gpus:,}",
                f"{p['data']} x {p['layer']} x {p['tensor']}",
                str(p["micro_batch"]), gib(p["memory_bytes"]),
                seconds(p["seconds"]), f"{p['tokens_per_s']:,.0f}",
                f"{100 * each / base:.0f}%", shares(p)])
    return table(["model", "GPUs", "data x layer x tensor", "rows", "GiB",
                  "a step", "tokens/s", "a GPU", "of it"], rows)


def measured(tool):
    rows = []
    for step in MEASURED:
        model, stage, at_a_time = step["model"], step["stage"], step["rows"]
        milliseconds, gibibytes = step["milliseconds"], step["gibibytes"]
        other = STAGES[1 - STAGES.index(stage)]
        mesh = {axis: step.get(axis, 1) for axis in ("data", "layer", "tensor")}
        options = ["--set", f"budget.batch={step['batch']}",
                   "--set", f"budget.micro_batch={at_a_time}",
                   "--set", f"budget.{other}_steps=0"]
        for axis, ranks in mesh.items():
            options += [f"--{axis}", str(ranks)]
        if step.get("loss") == "xent":
            options += ["--set", "preset=hedgehog"]
        plan = tool.plan(model, math.prod(mesh.values()), "h200", *options)
        p = plan["stages"][0]["proposed"]
        # What the driver has for itself is not the process's.
        memory = p["memory_bytes"] - p["memory"]["runtime"]
        ms = 1000 * p["seconds"]
        rows.append([
            model, stage + (", xent" if "loss" in step else ""),
            " x ".join(str(ranks) for ranks in mesh.values()),
            str(at_a_time),
            f"{milliseconds}", f"{ms:.1f}",
            f"{100 * (ms / milliseconds - 1):+.0f}%", f"{gibibytes}",
            gib(memory), f"{100 * (memory / 2**30 / gibibytes - 1):+.0f}%"])
    return table(["model", "stage", "data x layer x tensor", "rows",
                  "ms, measured", "on paper", "",
                  "GiB, measured", "on paper", ""], rows)


def tensor_groups(tool):
    plan = tool.plan("70B", 64, "h200")
    rows = []
    for p in sorted(plan["stages"][1]["layouts"], key=lambda p: p["tensor"]):
        rows.append([
            str(p["tensor"]), str(p["data"]), str(p["micro_batch"]),
            gib(p["memory_bytes"]), seconds(p["seconds"]),
            size(p["sent_bytes"]["tensor"]), shares(p)])
    return table(["tensor", "data", "rows", "GiB", "a step",
                  "sent to tensor ranks", "of it"], rows)


def chains(tool):
    rows = []
    for layers in (1, 2, 4, 8, 16, 32, 64):
        plan = tool.plan("405B", 64, "h100", "--layer", str(layers),
                         "--tensor", "1", "--set",
                         "budget.finetune_steps=0")
        if isinstance(plan, str):
            rows.append([str(layers), "", plan] + [""] * 4)
            continue
        p = plan["stages"][0]["proposed"]
        rows.append([
            str(layers), str(p["data"]), str(p["micro_batch"]),
            gib(p["memory_bytes"]), gib(p["memory"].get("ahead", 0)),
            seconds(p["seconds"]), seconds(p["start_seconds"])])
    return table(["layer", "data", "rows", "GiB", "of it ahead", "a step",
                  "until filled"], rows)


def small_batch(tool):
    rows = []
    for model in ("8B", "70B", "405B"):
        for gpus in GPUS:
            line = [model, f"{gpus:,}"]
            for stage in (0, 1):
                plan = tool.plan(model, gpus, "h200", "--set",
                                 "budget.batch=8", "--set",
                                 f"budget.{STAGES[1 - stage]}_steps=0")
                if isinstance(plan, str):
                    line += [plan, "", ""]
                    continue
                p = plan["stages"][0]["proposed"]
                line += [f"{p['data']} x {p['layer']} x {p['tensor']}",
                         f"{p['tokens_per_s']:,.0f}", shares(p, 0.2)]
            rows.append(line)
    return table(["model", "GPUs", "transfer", "tokens/s", "of it",
                  "fine-tune", "tokens/s", "of it"], rows)


def memory(tool):
    names = ("layer_weights", "vocabulary_weights", "trained", "activations",
             "ahead", "scratch", "runtime")
    rows = []
    for model in ("8B", "70B", "405B"):
        for stage in (0, 1):
            plan = tool.plan(model, 64, "h200", "--set",
                             f"budget.{STAGES[1 - stage]}_steps=0")
            p = plan["stages"][0]["proposed"]
            rows.append([
                model, STAGES[stage],
                f"{p['data']} x {p['layer']} x {p['tensor']}",
                *(gib(p["memory"].get(name, 0)) for name in names),
                size(p["checkpoint_bytes"])])
    return table(["model", "stage", "data x layer x tensor",
                  *(name.replace("_", " ") for name in names),
                  "checkpoint of a rank"], rows)


def sent(tool):
    rows = []
    for model in ("8B", "70B", "405B"):
        for stage in (0, 1):
            plan = tool.plan(model, 64, "h200", "--set",
                             f"budget.{STAGES[1 - stage]}_steps=0")
            p = plan["stages"][0]["proposed"]
            rows.append([
                model, STAGES[stage],
                f"{p['data']} x {p['layer']} x {p['tensor']}",
                *(size(p["sent_bytes"][group])
                  for group in ("tensor", "data", "layer", "world"))])
    return table(["model", "stage", "data x layer x tensor", "tensor", "data",
                  "layer", "world"], rows)


def machines(tool):
    rows = []
    for gpu in ("h100", "h200"):
        m = tool.plan("8B", 8, gpu)["machine"]
        rows.append([
            gpu, f"{m['memory_bytes'] / 2**30:.0f} GiB",
            f"{m['matrix_flops'] / 1e12:.0f} TFLOP/s",
            f"{m['memory_bytes_per_s'] / 1e12:.2f} TB/s",
            f"{m['node_bytes_per_s'] / 1e9:.0f} GB/s",
            f"{m['network_bytes_per_s'] / 1e9:.1f} GB/s"])
    return table(["GPU", "memory", "products", "memory traffic",
                  "to its node", "to the network"], rows)


TABLES = {
    "machines": machines,
    "measured": measured,
    "transfer h100": lambda tool: by_gpus(tool, 0, "h100"),
    "transfer h200": lambda tool: by_gpus(tool, 0, "h200"),
    "finetune h100": lambda tool: by_gpus(tool, 1, "h100"),
    "finetune h200": lambda tool: by_gpus(tool, 1, "h200"),
    "memory": memory,
    "sent": sent,
    "tensor groups": tensor_groups,
    "chains": chains,
    "small batch": small_batch,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=pathlib.Path)
    parser.add_argument("--caracal", required=True)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    text = args.document.read_text()
    with tempfile.TemporaryDirectory() as folder:
        tool = Tool(args.caracal, pathlib.Path(folder))

        def fill(found):
            return f"{found[1]}\n{TABLES[found[2]](tool)}\n{found[3]}"

        filled = re.sub(r"(<!-- table ([\w ]+) -->)\n.*?(<!-- end -->)", fill,
                        text, flags=re.DOTALL)
    if not args.check:
        args.document.write_text(filled)
    elif filled != text:
        sys.exit(f"{args.document}: its tables are not what caracal plan says; "
                 f"run deploy/scaling/tables.py on it")


if __name__ == "__main__":
    main()
