// Files on their way in: sent two at a time, then watched until they can be found or have failed.
import * as api from "./api.js";
import { show } from "./dialogs.js";
import { byId, element } from "./dom.js";

const AT_ONCE = 2; // a browser has about six connections to a server, and the search needs some
const WATCH_SECONDS = 1; // a status is asked again after as long as this where not all are settled
const SOURCE = "spanstream.source";
const waiting = [];
let sending = 0;
let settled = () => {};

/** Tell `changed` whenever a document can be found, and ask `key` for one where the server wants it. */
export const whenSettled = (changed) => (settled = changed);

/** Choose files and the source that they go to. */
export function choose(files = null) {
  const source = element("input", { id: "source", required: true, pattern: "[a-z0-9][a-z0-9._\\-]{0,63}", maxlength: "64", value: sessionStorage.getItem(SOURCE) ?? "files", autocomplete: "off", title: "Lower-case letters, digits, dots, hyphens" });
  const picker = element("input", { id: "files", type: "file", multiple: true, required: true });
  const named = files ? element("p", {}, files.length === 1 ? files[0].name : `${files.length} files`) : null;
  const form = element("form", { class: "key" },
    named, files ? null : [element("label", { for: "files" }, "Files"), picker],
    element("label", { for: "source" }, "Source"), source,
    element("p", { class: "faint" }, "Text, Markdown, HTML, PDF, DOCX. A file of the same name in this source is replaced."),
    element("p", { class: "actions" }, element("button", { type: "submit", class: "primary" }, "Add")));
  const box = show("box", "Add files", form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(SOURCE, source.value);
    add(source.value, [...(files ?? picker.files)]);
    box.close();
  });
  (files ? source : picker).focus();
}

/** Send these files to a source. */
export function add(source, files) {
  const node = byId("uploads");
  if (!node.childElementCount) {
    const close = element("button", { type: "button", class: "quiet" }, "Hide");
    close.addEventListener("click", () => {
      node.hidden = true;
    });
    node.append(element("header", {}, element("h2", {}, "Files"), close), element("ul", { "aria-live": "polite" }));
  }
  node.hidden = false;
  for (const file of files) {
    const state = element("span", { class: "became" }, "waiting");
    node.querySelector("ul").prepend(element("li", {}, element("span", { class: "what" }, file.name), element("span", { class: "faint" }, source), state));
    waiting.push({ source, file, state });
  }
  next();
}

function next() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    send(waiting.shift()).finally(() => {
      sending -= 1;
      next();
    });
  }
}

const say = (one, word, text) => {
  one.state.className = `became ${word}`;
  one.state.textContent = text;
};

async function send(one) {
  say(one, "working", "sending …");
  if (/\.(jsonl|ndjson)$/i.test(one.file.name)) return say(one, "bad", "failed: add a file of records with the command “spanstream ingest FILE”");
  try {
    await one.file.slice(0, 1).arrayBuffer();
  } catch {
    return say(one, "bad", "failed: it cannot be read; folders are added with “spanstream ingest FOLDER”");
  }
  try {
    const receipt = await api.upload(one.source, one.file);
    one.accepted = performance.now();
    if (receipt.status === "unchanged") return say(one, "good", "already searchable, unchanged");
    say(one, "working", "accepted …");
    watch({ ...one, id: receipt.id, version: receipt.version });
  } catch (error) {
    say(one, "bad", `failed: ${error.words ?? "something unexpected happened"}`);
  }
}

const watched = new Map(); // source -> what is not settled

/** One request at a time per source asks about all that it waits for. */
async function watch(one) {
  const others = watched.get(one.source);
  if (others) return void others.push(one);
  let pending = [one];
  watched.set(one.source, pending);
  while (pending.length) {
    const asked = pending.slice(0, 100);
    try {
      const documents = asked.map(({ id, version }) => ({ id, version }));
      const answer = await api.statuses(one.source, { documents, wait: WATCH_SECONDS });
      const done = asked.filter((each, index) => became(each, answer.documents[index]));
      if (done.length) settled();
      for (const each of done) pending.splice(pending.indexOf(each), 1);
      if (done.length < asked.length) pending.push(...pending.splice(0, asked.length - done.length)); // the others' turn
    } catch (error) {
      for (const each of asked) say(each, "working", `accepted; ${error.words ?? "its status is unknown"}`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * WATCH_SECONDS));
    }
  }
  watched.delete(one.source);
}

function became(one, { state, failure }) {
  const seconds = `${((performance.now() - one.accepted) / 1000).toFixed(1)} s`;
  if (state === "searchable") say(one, "good", `accepted → searchable in ${seconds}`);
  else if (state === "deleted") say(one, "bad", "deleted since");
  else if (state === "failed") say(one, "bad", `failed: ${failure?.detail || failure?.reason || "no reason given"}`);
  else say(one, "working", `accepted, ${seconds} ago`);
  return state !== "pending";
}
