// The page: what its address says is shown.
import {announce, setText} from "./dom.js";
import {showJob} from "./job.js";
import {showJobs} from "./list.js";
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
  } else if (page === "submit") {
    showSubmit(main);
  } else {
    showJobs(main, current.signal);
  }
  scrollTo(0, 0);
}

addEventListener("hashchange", () => {
  route();
  setText(document.getElementById("live"), "");
  announce(document.title);
  if (location.hash !== "#main") main.focus({preventScroll: true});
});
route();
