// Figures in words.
const number = (digits) => new Intl.NumberFormat("en", {
  minimumFractionDigits: digits, maximumFractionDigits: digits,
});
const whole = number(0);

export const count = (x) => whole.format(x);

export function loss(x) {
  if (!Number.isFinite(x)) return "–";
  if (x !== 0 && (Math.abs(x) < 0.001 || Math.abs(x) >= 1e5)) {
    return x.toExponential(2);
  }
  return number(Math.abs(x) < 0.1 ? 4 : 3).format(x);
}

export const share = (x) => Number.isFinite(x) ? number(2).format(x) : "–";

export const percent = (x) => Number.isFinite(x)
  ? `${number(1).format(100 * x)}%` : "–";

export function rate(x) {
  if (!Number.isFinite(x)) return "–";
  if (x >= 1e6) return `${number(2).format(x / 1e6)}M`;
  return x >= 1e4 ? `${number(1).format(x / 1e3)}k` : count(x);
}

const short = new Intl.NumberFormat("en", {
  notation: "compact", maximumSignificantDigits: 4,
});
const digits = new Intl.NumberFormat("en", {maximumSignificantDigits: 3});

// Of an axis.
export const tick = (x) => Math.abs(x) >= 1000 ? short.format(x)
  : Math.abs(x) < 1e-4 && x !== 0 ? x.toExponential(1) : digits.format(x);

export const percentTick = (x) => `${digits.format(100 * x)}%`;

export function bytes(x) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; x >= 1024 && i + 1 < units.length; ++i) x /= 1024;
  return `${number(i === 0 || x >= 100 ? 0 : 1).format(x)} ${units[i]}`;
}

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) {
    const m = Math.floor(s % 3600 / 60);
    return `${Math.floor(s / 3600)} h${m ? ` ${m} min` : ""}`;
  }
  const d = Math.floor(s / 86400);
  return `${d} day${d === 1 ? "" : "s"}`;
}

const date = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium", timeStyle: "medium",
});
export const time = (ms) => date.format(new Date(ms));

// Where the ranks of a gang are: "4 ranks on node1 and node2".
export function ranks(hosts) {
  const names = [...new Set(hosts)];
  const shown = names.slice(0, 4);
  if (names.length > shown.length) shown.push(`${names.length - 4} more hosts`);
  const last = shown.pop();
  const list = shown.length ? `${shown.join(", ")} and ${last}` : last;
  return `${count(hosts.length)} rank${hosts.length === 1 ? "" : "s"} on ${list}`;
}

export const state = (name) => name.charAt(0) + name.slice(1).toLowerCase();
export const isFinal = (name) =>
  ["SUCCEEDED", "FAILED", "CANCELLED"].includes(name);
