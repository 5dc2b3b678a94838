// Keys: / to the search box, arrows through the hits, e why, ? the keys. Enter and Esc are the browser's own.
import { byId } from "./dom.js";

const titles = () => [...document.querySelectorAll("#hits .title")];

/** `actions`: {explain(index), keys()} */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const writing = target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
    const searching = target === byId("query");
    if (event.key === "Escape" && searching && target.value) act(event, () => empty(target));
    else if (event.key === "Escape" && searching) target.blur();
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (!writing || searching)) move(event, event.key === "ArrowDown" ? 1 : -1, searching);
    else if (writing) return;
    else if (event.key === "/") focusSearch(event);
    else if (event.key === "?") act(event, actions.keys);
    else if (event.key === "e") {
      const index = titles().findIndex((title) => title.closest("li").contains(target));
      if (index >= 0) act(event, () => actions.explain(index));
    }
  });
}

function empty(box) {
  box.value = "";
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

function act(event, does) {
  event.preventDefault();
  does();
}

function focusSearch(event) {
  event.preventDefault();
  byId("query").focus();
  byId("query").select();
}

/** From the hit that holds the focus to the next; from the first one up to the search box. */
function move(event, step, searching) {
  const all = titles();
  const at = all.findIndex((title) => title.closest("li").contains(event.target));
  if (!all.length || (at < 0 && step < 0)) return;
  event.preventDefault();
  if (at + step < 0 && !searching) return void byId("query").focus();
  const next = all[Math.min(at + step, all.length - 1)];
  next.focus();
  next.closest("li").scrollIntoView({ block: "nearest" });
}
