// The page: what its address says is shown.
import {announce, setText, showBanner} from "./dom.js";
import {showJob} from "./job.js";
import {showJobs} from "./list.js";
import {
  forget, isSignedIn, loadSession, may, showSignIn, signOut,
} from "./session.js";
import {showSubmit} from "./submit.js";

const main = document.getElementById("main");
let current = null;

function route() {
  if (location.hash === "#main") {
    main.focus();
    return;
  }
  current?.abort();
  current = new AbortController();
  const path = location.hash.replace(/^#/, "") || "/";
  const job = /^\/jobs\/(\d+)$/.exec(path);
  main.replaceChildren();
  showBanner("");
  if (!isSignedIn()) {
    setText(document.getElementById("slots"), "");
    showSignIn(main, route);
    return;
  }
  const page = path === "/submit" ? "submit" : "jobs";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) {
      link.setAttribute("aria-current", "page");
    } else {
      link.removeAttribute("aria-current");
    }
  }
  document.title = "Caracal";
  if (job) {
    showJob(main, Number(job[1]), current.signal);
  } else if (page === "submit" && may("submitter")) {
    showSubmit(main);
  } else {
    showJobs(main, current.signal);
  }
  scrollTo(0, 0);
}

addEventListener("hashchange", () => {
  // Where to, it looks when somebody has signed in.
  if (!isSignedIn()) return;
  route();
  setText(document.getElementById("live"), "");
  announce(document.title);
  if (location.hash !== "#main") main.focus({preventScroll: true});
});

addEventListener("signedout", () => {
  if (!isSignedIn()) return;
  forget();
  route();
});

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await signOut();
    route();
  } catch (error) {
    showBanner(error.message);
  }
});

async function start() {
  try {
    await loadSession();
  } catch (error) {
    showBanner(error.message);
    setTimeout(start, 2000);
    return;
  }
  route();
}
start();
