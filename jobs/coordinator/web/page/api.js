// Calls of the coordinator.

export class Refused extends Error {
  constructor(status, error) {
    super(error.message ?? `HTTP ${status}`);
    this.status = status;
    this.problems = error.problems ?? [];
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, {message: "The coordinator does not answer."});
  }
  const body = await response.json().catch(() => ({}));
  // Whoever waits for an answer learns it, too.
  if (response.status === 401 && !path.startsWith("/api/session")) {
    dispatchEvent(new Event("signedout"));
  }
  if (!response.ok) throw new Refused(response.status, body.error ?? {});
  return body;
}

export const get = (path, signal) => call(path, {signal});

export const post = (path, body = {}) => call(path, {
  method: "POST",
  headers: {"Content-Type": "application/json", "X-Caracal-Request": "page"},
  body: JSON.stringify(body),
});

// The same again is the same request.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

// Calls `work` now and, when it is done, again after `ms`, while the page is
// seen. Stops when the signal says so.
export function repeat(work, ms, signal) {
  let timer = 0;
  let busy = false;
  const run = async () => {
    clearTimeout(timer);
    if (busy || signal.aborted || document.hidden) return;
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(run, ms);
    }
  };
  document.addEventListener("visibilitychange", run, {signal});
  signal.addEventListener("abort", () => clearTimeout(timer));
  run();
  return run;
}

// Events of a job, each once and in order, while the page is seen.
export function follow(id, signal, onEvent, onLive) {
  let last = 0;
  let source = null;
  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    if (signal.aborted || document.hidden) return;
    source = new EventSource(`/api/jobs/${id}/events?after=${last}`);
    source.onopen = () => onLive(true);
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.sequence <= last) return;
      last = event.sequence;
      onEvent(event);
    };
    source.onerror = () => {
      onLive(false);
      // One that was refused does not come back by itself.
      if (source?.readyState === EventSource.CLOSED) {
        timer = setTimeout(open, 5000);
      }
    };
  };
  document.addEventListener("visibilitychange", open, {signal});
  signal.addEventListener("abort", close);
  open();
}
