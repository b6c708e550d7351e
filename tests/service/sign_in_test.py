"""Signs in to the coordinator's page in headless Chromium, as users of each role.

    sign_in_test.py PAGE WORK CARACAL [SCREENSHOTS] <tokens

PAGE is its address, WORK the folder of the test, CARACAL the client, which has an
admin's token. On standard input are the tokens of a viewer (vera), a submitter
(sam) and an admin, a line each. Job 1 runs, and is the admin's.
"""

import subprocess
import sys

from selenium.webdriver.common.keys import Keys

from page_test import Page, check


def shown(page, selector):
    return [e for e in page.all(selector) if e.is_displayed()]


def sign_in(page, token):
    page.until("the form", lambda: page.all("#token"))
    field = page.find("#token")
    field.clear()
    field.send_keys(token, Keys.ENTER)


def sign_out(page):
    page.find("#sign-out").click()
    page.until("the form", lambda: page.all("#token"))


def cookies(page):
    return [c for c in page.driver.get_cookies()
            if c["name"].startswith("caracal_session_")]


def post(page, path):
    """The status of a change that the page itself would not offer."""
    return page.driver.execute_async_script("""
      const done = arguments[1];
      fetch(arguments[0], {method: "POST", body: "{}",
                           headers: {"X-Caracal-Request": "page"}})
        .then((answer) => done(answer.status));""", path)


def test_form(page, viewer):
    page.go("#/jobs/1")
    page.until("the form", lambda: page.all("#token"))
    check(page.run("return document.activeElement.id") == "token", "focus")
    check(not shown(page, "#pages a"), "pages are offered")
    check(page.find("#token").get_attribute("type") == "password", "its type")
    page.picture("sign_in")
    sign_in(page, "")
    page.until("a problem", lambda: page.text(".problem") ==
               "A token is needed.")
    sign_in(page, "caracal_wrong")
    page.until("a problem", lambda: "not known here" in page.text(".problem"))
    check(page.find("#token").get_attribute("aria-invalid") == "true", "aria")
    page.picture("sign_in_wrong")
    page.emulate("dark")
    page.picture("sign_in_dark")
    page.size(390, 844)
    page.check_width("the form")
    page.picture("sign_in_narrow_dark")
    page.emulate("light")
    page.picture("sign_in_narrow")
    page.size(1280, 900)
    sign_in(page, viewer)
    # Where it was to lead.
    page.until("the job", lambda: page.text(".heading .badge") == "Running")
    (cookie,) = cookies(page)
    check(cookie["httpOnly"] and cookie["sameSite"] == "Strict" and
          not cookie["secure"], f"cookie {cookie}")
    check(viewer not in str(page.driver.get_cookies()), "a token in a cookie")
    check(page.run("return document.cookie") == "", "scripts see the cookie")
    check(page.run("return localStorage.length") == 0, "something is kept")
    page.check_logs(refused=["/api/session"])


def test_viewer(page):
    check(page.text("#user-name") == "vera", page.text("#user-name"))
    page.until("it moves", lambda: page.text(".tiles dd") not in ("", "–"))
    check(not shown(page, ".heading button"), "a viewer may cancel")
    check([e.text for e in shown(page, "#pages a")] == ["Jobs"], "pages")
    page.picture("viewer_job")
    page.go("#/")
    page.until("a row", lambda: "Running" in page.text(".jobs tbody"))
    check(not shown(page, ".heading .button"), "a viewer may submit")
    page.picture("viewer_list")
    page.emulate("dark")
    page.picture("viewer_list_dark")
    page.emulate("light")
    page.size(390, 844)
    page.check_width("the list")
    page.picture("viewer_list_narrow")
    page.size(1280, 900)
    page.go("#/submit")
    page.until("the list", lambda: page.all(".jobs"))
    # What the page does not offer the coordinator refuses.
    check(post(page, "/api/jobs/1/cancel") == 403, "cancelled by a viewer")
    check(post(page, "/api/jobs") == 403, "submitted by a viewer")
    # A page that is loaded again is signed in.
    page.driver.refresh()
    page.until("a row", lambda: "Running" in page.text(".jobs tbody"))
    page.check_logs(refused=["/api/jobs"])


def test_revoked(page, caracal):
    page.go("#/jobs/1")
    page.until("it moves", lambda: page.text(".tiles dd") not in ("", "–"))
    subprocess.run([caracal, "token", "revoke", "vera"], check=True)
    page.until("the form", lambda: page.all("#token"))
    check(not page.all(".tiles"), "the job is still there")
    check(page.driver.execute_async_script(
        "fetch('/api/jobs').then((a) => arguments[0](a.status))") == 401,
        "a revoked token's session")
    page.check_logs(refused=["/api/"])


def test_submitter(page, submitter):
    page.go("#/")
    sign_in(page, submitter)
    page.until("a row", lambda: "Running" in page.text(".jobs tbody"))
    check(len(shown(page, "#pages a")) == 2, "pages")
    check(shown(page, ".heading .button"), "a submitter may submit")
    page.size(390, 844)
    page.check_width("the list")
    page.picture("submitter_list_narrow")
    page.size(1280, 900)
    page.go("#/jobs/1")
    page.until("it moves", lambda: page.text(".tiles dd") not in ("", "–"))
    check(not shown(page, ".heading button"), "of another's job")
    sign_out(page)
    check(not cookies(page), "the cookie stays")
    page.check_logs(refused=["/api/"])


def test_admin(page, admin):
    sign_in(page, admin)
    page.until("cancel", lambda: shown(page, ".heading .danger"))
    page.picture("admin_job")
    page.find(".heading .danger").click()
    page.until("a question", lambda: page.all("dialog[open]"))
    page.find("dialog .danger").click()
    page.until("it is cancelled",
               lambda: page.text(".heading .badge") == "Cancelled")


def main():
    viewer, submitter, admin = sys.stdin.read().split()
    page = Page(sys.argv[1], sys.argv[2],
                sys.argv[4] if len(sys.argv) > 4 else None)
    try:
        test_form(page, viewer)
        test_viewer(page)
        test_revoked(page, sys.argv[3])
        test_submitter(page, submitter)
        test_admin(page, admin)
    except BaseException:
        print(page.text("body")[:2000], file=sys.stderr)
        raise
    finally:
        page.driver.quit()


if __name__ == "__main__":
    main()
