// Dialogs and drawers: the browser's own, so that focus, Esc and what lies behind are its business.
import { element } from "./dom.js";
import * as api from "./api.js";

let count = 0;

/** Show one; `kind`: "drawer", "wide drawer" or "box". `closed` when it has gone. Returns {body, close, dialog}. */
export function show(kind, title, children, closed = () => {}) {
  const id = `dialog-${(count += 1)}`;
  const body = element("div", { class: "inside", tabindex: kind === "box" ? null : "0", role: kind === "box" ? null : "group", "aria-labelledby": kind === "box" ? null : id }, children);
  const close = () => dialog.close();
  const dialog = element("dialog", { class: kind, "aria-labelledby": id },
    element("header", {}, element("h2", { id, tabindex: "-1" }, title),
      element("button", { type: "button", class: "quiet", onclick: close }, "Close")),
    body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  document.body.append(dialog);
  dialog.showModal();
  return { body, close, dialog };
}

let asking = null;

/** Ask for an API key; true once there is one, false if the person closes the dialog. */
export function askKey(message) {
  asking ??= new Promise((resolve) => {
    const input = element("input", { type: "password", id: "key", autocomplete: "off", required: true, spellcheck: "false", placeholder: "sps_…" });
    const form = element("form", { class: "key" },
      element("p", {}, message),
      element("label", { for: "key" }, "API key"), input,
      element("p", { class: "faint" }, "It stays in this tab and is forgotten when you close it."),
      element("p", { class: "actions" }, element("button", { type: "submit", class: "primary" }, "Use this key")));
    let given = false;
    const box = show("box", "Who is asking?", form, () => {
      asking = null;
      resolve(given);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      given = true;
      api.keep(input.value.trim());
      box.close();
    });
    input.focus();
  });
  return asking;
}

const KEYS = [
  ["/", "to the search box"],
  ["↓ ↑", "through the hits"],
  ["Enter", "open the hit"],
  ["e", "why this hit?"],
  ["Esc", "close; empty the search box"],
  ["?", "these keys"],
];

/** The keys. */
export function showKeys() {
  show("box", "Keys", element("dl", { class: "keys" }, KEYS.map(([name, does]) =>
    element("div", {}, element("dt", {}, name.split(" ").map((each) => element("kbd", {}, each))), element("dd", {}, does)))));
}
