// The page put together: what is asked is in the address, the newest question wins, an answer is drawn.
import * as api from "./api.js";
import * as dialogs from "./dialogs.js";
import { byId, counted, element, fill } from "./dom.js";
import * as documents from "./documents.js";
import * as dropping from "./dropping.js";
import { explained } from "./explanation.js";
import * as facets from "./facets.js";
import * as failures from "./failures.js";
import { card } from "./hits.js";
import * as keyboard from "./keyboard.js";
import * as parts from "./parts.js";
import * as question from "./question.js";
import * as states from "./states.js";
import * as uploads from "./uploads.js";

const PAUSE = 160; // ms without a key before a question is sent
const TYPING = 2500; // ms within which further keys change the newest entry of the history instead of adding one
const PAGE = 10; // hits
const MOST = 100; // hits that one answer may have
const REFRESH = 20_000; // ms between two looks at how much there is to search

let asked = question.read(location.search);
let offered = { explain: false, facets: 0, cursor: false, content: false, files: false, failures: false };
let sources = null;
let answer = null; // of the newest question that was answered
let known = []; // fields of the metadata to filter by
let limit = PAGE;
let newest = 0;
let running = new AbortController();
let timer = 0;
let typed = 0; // when a key last changed the address
let dialog = null; // of the open document

// --- Asking ----------------------------------------------------------------------------------------------------------
/** Ask now. An answer that comes when something newer is asked is dropped. */
async function ask() {
  clearTimeout(timer);
  running.abort();
  running = new AbortController();
  const number = (newest += 1);
  const { signal } = running;
  document.title = asked.text ? `${asked.text} – Spanstream` : "Spanstream";
  if (question.query(asked) === null) return unasked();
  const slow = setTimeout(() => busy(true), 120);
  try {
    const found = await api.search({ ...question.request(asked), limit }, { facets: ["source", ...known] }, signal);
    if (number !== newest) return;
    answer = found;
    draw();
    learn(signal, number);
  } catch (error) {
    if (number === newest && error.name !== "AbortError") failed(error);
  } finally {
    clearTimeout(slow);
    if (number === newest) busy(false);
  }
}

/** Fields that these hits have and that were not counted: count them too. */
async function learn(signal, number) {
  const before = known.length;
  known = facets.merged(known, answer.hits);
  filters();
  if (known.length === before || !offered.facets) return;
  try {
    const found = await api.search({ ...question.request(asked), limit: 1 }, { facets: ["source", ...known] }, signal);
    if (number !== newest) return;
    answer = { ...answer, facets: found.facets };
    filters();
  } catch (error) {
    if (!error.words && error.name !== "AbortError") throw error; // the hits are there; their counts are not
  }
}

function busy(is) {
  byId("progress").hidden = !is;
  byId("hits").setAttribute("aria-busy", String(is));
}

function unasked() {
  answer = null;
  busy(false);
  clear();
  byId("count").textContent = "";
  if (question.onlyShuns(asked)) states.shunning();
  else states.start(sources, offered.files, () => uploads.choose());
  filters();
}

function clear() {
  byId("hits").replaceChildren();
  byId("notes").replaceChildren();
  byId("more").hidden = true;
}

async function failed(error) {
  clear();
  byId("count").textContent = "No answer.";
  states.failed(error, ask, enter);
  if (error.status === 401) await enter();
}

/** Ask the person for a key, then the server again. */
async function enter() {
  const message = api.key() ? "This server does not know the key that this tab used. Enter another." : "This server asks for an API key.";
  if (!(await dialogs.askKey(message))) return;
  await refresh();
  ask();
}

// --- Drawing ---------------------------------------------------------------------------------------------------------
function draw() {
  const { hits } = answer;
  const rest = offered.cursor ? Boolean(answer.cursor) : hits.length >= limit;
  const found = `${rest ? "The first " : ""}${counted(hits.length, "document")} in ${Math.round(answer.took_ms)} ms`;
  byId("count").textContent = hits.length ? found : "Nothing found.";
  states.notes(answer);
  if (hits.length) states.none();
  else states.empty(asked.filters.length > 0, () => change({ filters: [] }));
  fill(byId("hits"), hits.map((hit, index) => card(hit, index, hits, {
    href: (each) => question.write({ ...asked, opened: each }) || "/",
    open: offered.content ? (each) => show(each, true) : null,
    like: (each) => like(each),
    unlike: ({ source, id, title }) => change({ parts: [...asked.parts, { kind: "unlike", source, id, title }] }),
    explain: offered.explain ? explain : null,
  })));
  byId("more").hidden = !rest || (!offered.cursor && limit >= MOST);
}

function filters() {
  facets.draw(byId("facets"), facets.groups(answer, known, sources ?? [], asked.filters), asked.filters, {
    toggle: (field, value) => change({ filters: question.toggled(asked.filters, field, value) }),
    remove: (filter) => {
      change({ filters: asked.filters.filter((each) => each !== filter) });
      byId("filters").querySelector("summary").focus();
    },
  });
  byId("size").textContent = sources ? `${states.size(sources)}.` : "";
}

/** Fill the form from what is asked. */
function form() {
  if (byId("query").value !== asked.text) byId("query").value = asked.text;
  byId("mode").value = asked.mode;
  parts.draw(asked.parts, (typing) => (typing ? soon() : (settle(), ask())));
}

// --- Changing the question -------------------------------------------------------------------------------------------
/** The address says what is asked. While somebody types, one entry of the history is changed again and again. */
function settle(typing = false) {
  const now = performance.now();
  const again = typing && now - typed < TYPING;
  typed = typing ? now : 0;
  const address = question.write(asked) || location.pathname;
  if (address === (location.search || location.pathname)) return;
  history[again ? "replaceState" : "pushState"]({ opened: false }, "", address);
}

function change(changes) {
  asked = { ...asked, ...changes };
  limit = PAGE;
  settle();
  form();
  ask();
}

function soon() {
  limit = PAGE;
  clearTimeout(timer);
  timer = setTimeout(() => {
    settle(true);
    ask();
  }, PAUSE);
}

function like({ source, id, title, start, end }) {
  change({ text: "", parts: [{ kind: "like", source, id, title, start, end }], opened: null });
  byId("results").focus();
}

// --- Documents, explanations -----------------------------------------------------------------------------------------
function show(hit, push) {
  const { source, id } = hit;
  asked = { ...asked, opened: { source, id } };
  if (push) history.pushState({ opened: true }, "", question.write(asked));
  const found = answer?.hits.filter((each) => each.source === source && each.id === id) ?? [];
  dialog = documents.open(hit, found.flatMap((each) => each.passages), { like }, closed);
}

function closed() {
  dialog = null;
  if (!asked.opened) return; // gone back already
  asked = { ...asked, opened: null };
  if (history.state?.opened) history.back();
  else history.replaceState({ opened: false }, "", question.write(asked) || location.pathname);
}

async function explain(hit) {
  const place = element("div", { role: "status" }, element("p", {}, "Asking …"));
  dialogs.show("drawer", `Why “${hit.title || hit.id}”?`, place);
  try {
    const found = await api.search({ ...question.request(asked), limit: Math.min(MOST, Math.max(limit, answer.hits.length)) }, { explain: true });
    const same = found.hits.find((each) => each.source === hit.source && each.id === hit.id);
    fill(place, same?.explanation ? explained(same.explanation) : [element("p", {}, "The index has changed meanwhile: this hit is no longer in the answer.")]);
  } catch (error) {
    fill(place, element("p", {}, error.words ?? "The explanation cannot be shown."));
  }
}

// --- Sources ---------------------------------------------------------------------------------------------------------
async function refresh() {
  try {
    ({ sources } = await api.sources());
    if (question.query(asked) === null) unasked();
    else filters();
  } catch (error) {
    sources = null;
    if (question.query(asked) === null) failed(error); // else the search says it
  }
}

let paging = false;

async function more() {
  if (!offered.cursor) {
    limit = Math.min(MOST, limit + PAGE);
    return ask();
  }
  if (paging) return; // else a second click would show the same hits twice
  paging = true;
  const { signal } = running;
  try {
    const next = await api.search({ ...question.request(asked), limit }, { cursor: answer.cursor }, signal);
    if (signal.aborted) return;
    answer = { ...answer, hits: [...answer.hits, ...next.hits], cursor: next.cursor, took_ms: next.took_ms };
    draw();
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
  } finally {
    paging = false;
  }
}

// --- Wiring ----------------------------------------------------------------------------------------------------------
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  return dark;
}

function wire() {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    settle();
    ask();
  });
  byId("query").addEventListener("input", () => {
    asked.text = byId("query").value;
    soon();
  });
  byId("mode").addEventListener("change", () => change({ mode: byId("mode").value }));
  byId("more").addEventListener("click", more);
  byId("add").addEventListener("click", () => uploads.choose());
  byId("failures").addEventListener("click", failures.open);
  byId("keys").addEventListener("click", dialogs.showKeys);
  byId("theme").addEventListener("click", () => {
    const chosen = theme() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("spanstream.theme", chosen);
    theme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  byId("home").addEventListener("click", (event) => {
    event.preventDefault();
    change({ ...question.nothing() });
    byId("query").focus();
  });
  parts.buttons((kind) => {
    asked.parts.push({ kind, text: "" });
    form();
    parts.focusLast();
  });
  addEventListener("popstate", () => {
    const before = question.write({ ...asked, opened: null });
    asked = question.read(location.search);
    const { opened } = asked;
    if (!opened) dialog?.close();
    if (question.write({ ...asked, opened: null }) !== before) {
      limit = PAGE;
      form();
      ask();
    }
    if (opened && !dialog && offered.content) show(opened, false);
  });
  facets.byHand(byId("byhand"), { add: (filter) => change({ filters: [...asked.filters, filter] }) });
  keyboard.listen({ explain: (index) => offered.explain && explain(answer.hits[index]), keys: dialogs.showKeys });
  uploads.whenSettled(() => refresh().then(() => question.query(asked) !== null && ask()));
  setInterval(() => document.hidden || document.querySelector("dialog[open]") || refresh(), REFRESH);
  if (matchMedia("(max-width: 52rem)").matches) byId("filters").open = false;
}

async function begin() {
  theme();
  wire();
  form();
  if (!asked.opened) byId("query").focus();
  offered = await api.features();
  byId("add").hidden = !offered.files;
  byId("failures").hidden = !offered.failures;
  if (offered.files) dropping.listen((files) => uploads.choose(files));
  await Promise.all([refresh(), ask()]);
  if (asked.opened && offered.content && !document.querySelector("dialog[open]")) show(asked.opened, false);
}

begin();
