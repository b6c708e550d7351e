// The figures of a job, a column each, as they come.

const kKeys = [
  "loss", "validation_loss", "tokens_per_s", "drop_probability", "window",
  "u", "u_star", "r", "hybrid_loss", "swa_only_loss", "la_only_loss",
  "la_mass", "la_mass_low", "la_mass_high",
];

// Of a line with la_mass by layer (null where a layer has no linear part) the
// same with its mean, lowest and highest value instead.
function withMasses(line) {
  if (!Array.isArray(line.la_mass)) return line;
  const known = line.la_mass.filter(Number.isFinite);
  if (known.length === 0) return {...line, la_mass: null};
  return {
    ...line,
    la_mass: known.reduce((a, b) => a + b, 0) / known.length,
    la_mass_low: Math.min(...known), la_mass_high: Math.max(...known),
  };
}

export class Series {
  constructor() {
    this.columns = new Map(kKeys.map((key) => [key, {x: [], y: []}]));
    this.stages = [];     // {name, step}: where each begins
    this.offsets = new Map();  // by stage: the steps of those before it
    this.decisions = [];  // {x, y, because, stage, step}: in their order
    this.early = [];      // the same, of stages that have no metrics yet
    this.layers = null;   // {step, masses}: la_mass by layer, as last measured
    this.last = null;
    this.version = 0;
  }

  // A line of metrics. A gang that went on from a checkpoint takes steps
  // again: what came of them before goes.
  add(line) {
    const step = line.global_step;
    if (!Number.isFinite(step)) return;
    if (this.last && step <= this.last.global_step) this.cut(step);
    if (Array.isArray(line.la_mass)) this.layers = {step, masses: line.la_mass};
    const figures = withMasses(line);
    for (const [key, column] of this.columns) {
      const value = figures[key];
      if (typeof value !== "number" || !Number.isFinite(value)) continue;
      column.x.push(step);
      column.y.push(value);
    }
    const stage = line.stage ?? "";
    if (this.stages.at(-1)?.name !== stage) {
      this.stages.push({name: stage, step});
    }
    if (Number.isFinite(line.step) && !this.offsets.has(stage)) {
      this.offsets.set(stage, step - line.step);
      const early = this.early;
      this.early = [];
      for (const decision of early) this.place(decision);
    }
    this.last = line;
    ++this.version;
  }

  // A decision of the curriculum: {stage, because, values: [{step,
  // drop_probability, window}, ...]}, a value where it changes; steps count from
  // the stage's first, 1. Decisions come before the metrics of their steps. What
  // the schedule says needs no mark.
  decide(data) {
    const value = data.values?.[0];
    if (typeof value?.drop_probability !== "number" ||
        !Number.isFinite(value.step) || data.because === "schedule") {
      return;
    }
    this.place({stage: data.stage ?? "", step: value.step,
                y: value.drop_probability,
                because: data.by ? `tuned by ${data.by}`
                  : String(data.because ?? "")});
    ++this.version;
  }

  // On the axis of all stages' steps, once it is known where its stage begins.
  // A decision that is taken again takes the place of those from its step on.
  place(decision) {
    const offset = this.offsets.get(decision.stage);
    if (offset === undefined) {
      this.early = this.early.filter(
        (d) => d.stage !== decision.stage || d.step < decision.step);
      this.early.push(decision);
      return;
    }
    const x = offset + decision.step;
    this.decisions = this.decisions.filter((d) => d.x < x);
    this.decisions.push({...decision, x});
  }

  cut(step) {
    for (const column of this.columns.values()) {
      let n = column.x.length;
      while (n > 0 && column.x[n - 1] >= step) --n;
      column.x.length = n;
      column.y.length = n;
    }
    while (this.stages.length && this.stages.at(-1).step >= step) {
      this.stages.pop();
    }
    if (this.layers && this.layers.step >= step) this.layers = null;
  }

  has(key) {
    return this.columns.get(key).x.length > 0;
  }

  // The steps of a stage: from, and until before.
  rangeOf(stage) {
    return [this.stages[stage].step, this.stages[stage + 1]?.step ?? Infinity];
  }
}

// Where `step` is, or would be, in a rising list.
function indexOf(list, step) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Points of steps from `from` until before `to`, at most about 2 x `buckets`,
// that look the same as all: of each bucket the lowest and the highest, in
// their order, and both ends.
export function decimate(column, buckets, from = -Infinity, to = Infinity) {
  const first = indexOf(column.x, from);
  const n = indexOf(column.x, to) - first;
  const at = (i) => ({x: column.x[i], y: column.y[i]});
  if (n <= 2 * buckets) return Array.from({length: n}, (_, i) => at(first + i));
  const out = [at(first)];
  for (let b = 0; b < buckets; ++b) {
    const begin = first + 1 + Math.floor((n - 2) * b / buckets);
    const end = first + 1 + Math.floor((n - 2) * (b + 1) / buckets);
    let low = begin;
    let high = begin;
    for (let i = begin; i < end; ++i) {
      if (column.y[i] < column.y[low]) low = i;
      if (column.y[i] > column.y[high]) high = i;
    }
    out.push(at(Math.min(low, high)));
    if (low !== high) out.push(at(Math.max(low, high)));
  }
  out.push(at(first + n - 1));
  return out;
}
