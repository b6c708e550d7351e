// Who is signed in, where anybody has to be.
import {get, post} from "./api.js";
import {h, setText} from "./dom.js";

const roles = ["viewer", "submitter", "admin"];
let session = {required: false, user: null};

// Whether the coordinator would let this user do what needs the role.
export function may(role) {
  return session.user !== null &&
    roles.indexOf(session.user.role) >= roles.indexOf(role);
}

// Whether this user may change a job of `owner`.
export const mayChange = (owner) =>
  may("admin") || (may("submitter") && session.user?.name === owner);

export const isSignedIn = () => session.user !== null;

// In the bar: who it is, and a way out.
function show() {
  const {required, user} = session;
  const box = document.getElementById("user");
  box.hidden = !required || user === null;
  document.querySelector(".bar").classList.toggle("signed-in", !box.hidden);
  setText(document.getElementById("user-name"), user?.name ?? "");
  document.getElementById("user-name").title = user
    ? `signed in as ${user.name}, ${user.role}` : "";
  for (const link of document.querySelectorAll("[data-needs]")) {
    link.hidden = !may(link.dataset.needs);
  }
  document.getElementById("pages").hidden = user === null;
}

export async function loadSession() {
  session = await get("/api/session");
  show();
}

// Somewhere it was said that nobody is signed in (any more).
export function forget() {
  session = {required: true, user: null};
  show();
}

export async function signOut() {
  await post("/api/session/end");
  forget();
}

// `done` is called when somebody has signed in.
export function showSignIn(main, done) {
  document.title = "Sign in · Caracal";
  const token = h("input", {
    id: "token", type: "password", autocomplete: "current-password",
    autocapitalize: "off", spellcheck: "false", required: true,
    "aria-describedby": "token-hint token-problem",
  });
  const problem = h("p", {id: "token-problem", class: "problem",
                          role: "alert"});
  const button = h("button", {type: "submit", class: "primary"}, "Sign in");
  const form = h(
    "form", {class: "sign-in", novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      setText(problem, "");
      token.removeAttribute("aria-invalid");
      if (token.value.trim() === "") {
        setText(problem, "A token is needed.");
        token.focus();
        return;
      }
      button.disabled = true;
      try {
        session = await post("/api/session", {token: token.value});
        token.value = "";
        show();
        done();
      } catch (error) {
        setText(problem, `${error.message.charAt(0).toUpperCase()}${
          error.message.slice(1)}.`.replace(/\.\.$/, "."));
        token.setAttribute("aria-invalid", "true");
        token.select();
      } finally {
        button.disabled = false;
      }
    }},
    h("h1", {}, "Sign in"),
    // For what keeps passwords: there is one user name for all tokens.
    h("input", {type: "text", autocomplete: "username", value: "caracal",
                hidden: true}),
    h("label", {for: "token"}, "Token"),
    token, problem, button,
    h("p", {id: "token-hint", class: "hint"},
      "The token that ", h("code", {}, "caracal"), " calls with. An admin ",
      "makes one with ", h("code", {}, "caracal token create"), "."));
  main.replaceChildren(form);
  token.focus();
}
