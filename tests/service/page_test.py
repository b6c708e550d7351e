"""Drives the coordinator's page in headless Chromium.

    page_test.py PAGE WORK [SCREENSHOTS]

PAGE is its address, WORK the folder of the test with job.textproto, whose job
has run as number 1. With a third argument it leaves pictures there.
"""

import json
import pathlib
import shutil
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 60
MARKUP = "<img src=x onerror=document.title=alert.name>"


class Page:
    def __init__(self, address, work, pictures):
        self.address = address
        self.work = pathlib.Path(work)
        self.pictures = pictures
        options = webdriver.ChromeOptions()
        for argument in (
                "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--force-color-profile=srgb",
                # Whatever leaves the host fails, and is found in the log.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={self.work}/chromium"):
            options.add_argument(argument)
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs",
                               {"browser": "ALL", "performance": "ALL"})
        service = webdriver.chrome.service.Service("/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(service=service, options=options)
        self.requests = []
        self.size(1280, 900)

    def size(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": False})

    def emulate(self, scheme):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def go(self, path=""):
        self.driver.get(self.address + path)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])"
                        "?.textContent ?? ''", selector)

    def until(self, what, condition):
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(
            lambda _: condition(), f"not within {PATIENCE_S} s: {what}")

    def picture(self, name):
        if self.pictures:
            height = self.run("return document.documentElement.scrollHeight")
            width = self.run("return innerWidth")
            self.size(width, min(max(height, 600), 3000))
            self.driver.save_screenshot(f"{self.pictures}/{name}.png")
            self.size(width, 900)

    def check_width(self, what):
        # Charts take their new size a moment later.
        self.until(f"{what} is no wider than the window", lambda: self.run(
            "return document.documentElement.scrollWidth <= innerWidth"))
        # What sticks out of its card need not widen the document.
        out = self.run("""
            const kCards = ".bar, .jobs tr, .tiles > div, .chart, .heading," +
                " .facts, .filters, .history tr, .problems, form";
            for (const card of document.querySelectorAll(kCards)) {
              const edge = card.getBoundingClientRect();
              for (const e of card.querySelectorAll("*")) {
                if (e.closest(".scroll, .canvas, pre, thead, .unseen")) continue;
                const box = e.getBoundingClientRect();
                if (box.width === 0) continue;
                const outside = box.right > edge.right + 0.5 ||
                    box.left < edge.left - 0.5;
                const spills = e.clientWidth > 0 &&
                    e.scrollWidth > e.clientWidth + 1 &&
                    getComputedStyle(e).overflowX === "visible";
                if (outside || spills) {
                  return `${e.outerHTML.slice(0, 120)} of ${card.className}`;
                }
              }
            }
            return "";""")
        check(out == "", f"{what}: sticks out of its card: {out}")

    def check_logs(self, refused=()):
        """No errors but those of requests that are to be refused."""
        for entry in self.driver.get_log("browser"):
            known = any(path in entry["message"] for path in refused)
            check(known or entry["level"] not in ("SEVERE", "WARNING"),
                  f"console: {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                self.requests.append(url)
                check(url.startswith((self.address, "data:", "chrome:")),
                      f"a request left: {url}")


def check(condition, what):
    if not condition:
        raise SystemExit(f"page_test: {what}")


def job_text(work, name, steps):
    text = (work / "job.textproto").read_text(encoding="utf-8")
    for file in ("train.h5", "heldout.h5"):
        text = text.replace(f'"{file}"', f'"{work}/{file}"')
    text = text.replace("transfer_steps: 6", f"transfer_steps: {steps}")
    return f"name: {json.dumps(name)}\n{text}"


def type_job(page, text):
    page.go("#/")  # else it is the form that was there
    page.until("the jobs", lambda: page.all(".filters"))
    page.go("#/submit")
    page.until("the form", lambda: page.all("#job"))
    page.run("const t = document.getElementById('job'); t.value = arguments[0];"
             "t.dispatchEvent(new Event('input'))", text)


def test_finished_job(page):
    page.go("#/")
    page.until("a row", lambda: "Succeeded" in page.text(".jobs tbody"))
    check(page.text(".jobs tbody .steps") == "18/18",
          page.text(".jobs tbody .steps"))
    check(page.find(".filters button").get_attribute("aria-pressed") == "true",
          "the filter")
    page.picture("list")
    page.find(".jobs .name a").click()
    page.until("its charts", lambda: len(
        [c for c in page.all(".chart canvas") if c.is_displayed()]) >= 7)
    titles = [e.text for e in page.all(".chart h3") if e.is_displayed()]
    check(titles[:7] == ["Loss", "Loss", "Speed", "Curriculum",
                         "Use of linear attention", "Mass of the linear part",
                         "Mass of the linear part by layer"],
          f"charts {titles}")
    label = page.run("""return [...document.querySelectorAll('.chart')].find(
        (c) => c.textContent.includes('by layer')).querySelector('canvas')
        .getAttribute('aria-label')""")
    check(label.startswith("Mass of the linear part by layer at step 18. ") and
          label.count("%") == 2, label)
    check("1 rank on " in page.text(".facts"), page.text(".facts"))
    page.until("attribution", lambda: "Attribution" in page.text("main"))
    page.until("checkpoints", lambda: page.all(".pair table tbody td"))
    page.until("its log", lambda: "step" in page.text(".log"))
    page.until("its history", lambda: "Succeeded" in page.text(".history"))
    check("Validation" in page.text(".tiles"), page.text(".tiles"))
    label = page.find(".chart canvas").get_attribute("aria-label")
    check(label.startswith("Loss, transfer, by step. Last: training "), label)
    # Something was drawn.
    check(page.run(
        "const c = document.querySelector('.chart canvas');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.some((x) => x > 0)"), "an empty chart")
    page.picture("finished")
    # Without attribution there would have been a refusal; it has one.
    page.check_logs()


def test_bad_job(page):
    bad = job_text(page.work, "bad", 6) + "optimizer { beta1: 2 beta2: 7 }\n"
    type_job(page, bad)
    page.find("#after").send_keys("abc")
    page.find("#retries").clear()
    page.find("#retries").send_keys("1.7")
    page.find("form.submit button[type=submit]").click()
    page.until("problems", lambda: page.all(".problems li"))
    fields = [e.text for e in page.all(".problems li code")]
    check({"optimizer.beta1", "optimizer.beta2", "after",
           "max_retries"} <= set(fields), f"fields {fields}")
    check(page.run("return document.activeElement.id") == "problems",
          "problems are not focused")
    page.picture("bad_job")
    page.check_logs(refused=["/api/jobs"])


def submit(page, text, after=""):
    type_job(page, text)
    page.find("#after").send_keys(after)
    page.find("form.submit button[type=submit]").click()


def no_markup(page, where):
    check(MARKUP in page.text(where), f"no markup in {where}")
    check(not page.all(f"{where} img"), f"an element in {where}")
    check("alert" not in page.driver.title, "markup ran")


def test_running_job(page):
    # Names with markup are refused, and shown as text.
    submit(page, job_text(page.work, MARKUP, 6))
    page.until("a problem", lambda: page.all(".problems li"))
    no_markup(page, ".problems")
    page.check_logs(refused=["/api/jobs"])

    submit(page, job_text(page.work, "long", 4000), after="1")
    page.until("it is shown", lambda: "#/jobs/2" in page.driver.current_url)
    page.until("it runs", lambda: page.text(".heading .badge") == "Running")
    check(page.text("h1") == "long", page.text("h1"))
    check("after 1" in page.text("main"), "what it comes after is not shown")

    def step():
        words = page.text(".tiles dd").replace(",", "").split(" / ")
        return int(words[0]) if words[0].isdigit() else 0
    page.until("it moves", lambda: step() > 0)
    seen = step()
    page.until("it moves on", lambda: step() > seen + 10)
    page.picture("running")

    # One that waits for it, and will find its data damaged.
    folder = page.work / MARKUP
    folder.mkdir()
    shutil.copy(page.work / "train.h5", folder)
    submit(page, job_text(page.work, "damaged", 6).replace(
        f'path: "{page.work}/train.h5"', f'path: "{folder}/train.h5"'))
    page.until("it waits", lambda: page.text(".heading .badge") == "Queued")
    page.picture("queued")
    (folder / "train.h5").write_bytes(b"no data")
    page.go("#/jobs/2")
    page.until("cancel", lambda: page.all(".actions .danger") and
               page.find(".actions .danger").is_displayed())
    # By keyboard; escape and Enter on what has the focus keep it.
    page.find(".heading .danger").send_keys(Keys.ENTER)
    page.until("a question", lambda: page.all("dialog[open]"))
    check(page.run("return document.activeElement.value") == "no", "focus")
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.until("no question", lambda: not page.all("dialog"))
    check(page.text(".heading .badge") == "Running", "it was cancelled")
    page.find(".heading .danger").click()
    page.until("a question", lambda: page.all("dialog[open]"))
    page.picture("cancel")
    page.find("dialog .danger").click()
    page.until("it is cancelled",
               lambda: page.text(".heading .badge") == "Cancelled")
    page.until("that is announced", lambda: "cancelled" in page.text("#live"))
    page.until("resume", lambda: page.find(".actions button:not(.danger)")
               .is_displayed())
    page.go("#/jobs/3")
    page.until("it failed", lambda: page.text(".heading .badge") == "Failed")
    for where in (".why", ".history", "details pre"):
        page.until(f"{where} is shown", lambda: page.text(where) != "")
        no_markup(page, where)
    page.picture("failed")
    page.go("#/")
    page.until("its row", lambda: "damaged" in page.text(".jobs"))
    no_markup(page, ".jobs")
    page.picture("list_all")
    page.check_logs(refused=["/attribution"])


def background(page):
    return page.run("return getComputedStyle(document.body).backgroundColor")


def test_themes(page):
    page.go("#/")
    page.emulate("dark")
    page.until("dark", lambda: background(page) == "rgb(19, 20, 22)")
    page.emulate("light")
    page.until("light", lambda: background(page) == "rgb(246, 246, 244)")
    page.find("#theme").click()  # light
    page.find("#theme").click()  # dark
    page.until("dark", lambda: background(page) == "rgb(19, 20, 22)")
    page.driver.refresh()
    page.until("still dark", lambda: background(page) == "rgb(19, 20, 22)")
    page.until("rows", lambda: page.all(".jobs tbody tr"))
    page.picture("list_dark")
    page.go("#/jobs/1")
    page.until("charts", lambda: len(
        [c for c in page.all(".chart canvas") if c.is_displayed()]) >= 5)
    page.picture("finished_dark")
    page.size(360, 800)
    page.check_width("a job")
    page.picture("finished_dark_narrow")
    for theme in ("dark", "light"):
        # Many steps, a failure, problems told, jobs in several states.
        for path in ("#/jobs/2", "#/jobs/3", "#/submit", "#/"):
            page.go(path)
            page.until("a heading", lambda: page.all("h1"))
            page.until("rows",
                       lambda: path != "#/" or page.all(".jobs tbody tr"))
            page.until("steps", lambda: path != "#/jobs/2" or
                       " / 4," in page.text(".tiles dd"))
            page.check_width(path)
            check(path == "#/submit" or
                  " slots in use" in page.find("#slots").text, "no slots")
            check(path != "#/" or page.find(".jobs .id").text == "3", "no id")
            page.picture(f"narrow_{theme}{path[1:].replace('/', '_')}")
        if theme == "dark":
            page.find("#theme").click()  # as the system has it
            page.until("light",
                       lambda: background(page) == "rgb(246, 246, 244)")
    page.size(1280, 900)


def test_keyboard(page):
    page.go("#/")
    page.until("rows", lambda: page.all(".jobs tbody tr"))
    page.driver.refresh()
    page.until("rows", lambda: page.all(".jobs tbody tr"))
    order = []
    for _ in range(12):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        order.append(page.run(
            "const e = document.activeElement;"
            "return [e.textContent.trim(), getComputedStyle(e).outlineStyle]"))
    names = [name for name, _ in order]
    for name in ("Skip to content", "Jobs", "Submit", "Submit a job", "All 3",
                 "damaged"):
        check(name in names, f"{name} is not reached: {names}")
    check(names.index("Jobs") < names.index("Submit a job") <
          names.index("All 3") < names.index("damaged"), f"order {names}")
    check(all(style != "none" for name, style in order if name in
              ("Jobs", "All 3", "damaged")), f"no visible focus: {order}")
    page.check_logs(refused=["/attribution"])


def test_long_job(page):
    """Of 100,000 steps a chart gets few points, and none of the peaks less."""
    page.go("#/")
    found = page.driver.execute_async_script("""
      const done = arguments[0];
      import("/series.js").then(({Series, decimate}) => {
        const series = new Series();
        for (let i = 1; i <= 100000; ++i) {
          series.add({stage: i <= 40000 ? "transfer" : "finetune",
                      global_step: i, loss: i === 54321 ? 99 : Math.sin(i)});
        }
        const begin = performance.now();
        const points = decimate(series.columns.get("loss"), 300,
                                ...series.rangeOf(1));
        const ms = performance.now() - begin;
        // A gang went on from a checkpoint.
        series.add({stage: "transfer", global_step: 30000, loss: 1});
        done({n: points.length, ms, first: points[0].x, last: points.at(-1).x,
              high: Math.max(...points.map((p) => p.y)),
              rising: points.every((p, i) => !i || p.x > points[i - 1].x),
              left: series.columns.get("loss").x.length,
              stages: series.stages.length});
      }).catch((error) => done({error: String(error)}));""")
    check(found.get("n", 10**9) <= 602 and found["first"] == 40001 and
          found["last"] == 100000 and found["high"] == 99 and
          found["rising"] and found["left"] == 30000 and found["stages"] == 1,
          f"decimated: {found}")


def test_decisions(page):
    """They come before the metrics of their steps, and stand at these."""
    page.go("#/")
    found = page.driver.execute_async_script("""
      const done = arguments[0];
      import("/series.js").then(({Series}) => {
        const series = new Series();
        const add = (stage, step, before) => series.add(
          {stage, step, global_step: before + step, loss: 1});
        const decide = (step) => series.decide(
          {stage: "finetune", because: "closed loop",
           values: [{step, drop_probability: step / 200}]});
        const at = () => series.decisions.map((d) => d.x).join();
        for (let i = 1; i <= 300; ++i) add("transfer", i, 0);
        for (let step = 21; step <= 141; step += 20) decide(step);
        const early = at();
        // Of the first steps the metrics are no longer kept.
        for (let i = 11; i <= 100; ++i) add("finetune", i, 300);
        const placed = at();
        // A gang went on from a checkpoint: taken again, decisions stay, but
        // for those that are taken again as well.
        add("finetune", 61, 300);
        const kept = at();
        decide(81);
        done({early, placed, kept, again: at()});
      }).catch((error) => done({error: String(error)}));""")
    check(found == {"early": "", "placed": "321,341,361,381,401,421,441",
                    "kept": "321,341,361,381,401,421,441",
                    "again": "321,341,361,381"}, f"decisions: {found}")


def main():
    pictures = sys.argv[3] if len(sys.argv) > 3 else None
    page = Page(sys.argv[1], sys.argv[2], pictures)
    try:
        test_finished_job(page)
        test_bad_job(page)
        test_running_job(page)
        test_themes(page)
        test_keyboard(page)
        test_long_job(page)
        test_decisions(page)
        check(any("/events" in url for url in page.requests), "no stream")
    except BaseException:
        print(page.text("body")[:2000], file=sys.stderr)
        raise
    finally:
        page.driver.quit()


if __name__ == "__main__":
    main()
