// The list of hits: title, score, passages with their spans marked, metadata, and what can be done with each.
import { element } from "./dom.js";
import { excerpt, length, pieces } from "./spans.js";

const METADATA = 4; // fields that a hit shows; the document shows all

/** The text with the spans marked. `to`, `from`: only that part of it. */
export function marked(passage, from = passage.start, to = passage.start + length(passage.text)) {
  return pieces(passage.text, passage.start, [...passage.spans, { start: from, end: to, bound: true }])
    .filter((piece) => piece.start >= from && piece.end <= to)
    .map((piece) => {
      const spans = piece.spans.filter((span) => !span.bound);
      return spans.length ? element("mark", { "data-start": piece.start, "data-end": piece.end }, piece.text) : piece.text;
    });
}

/** One passage: an excerpt that opens to the whole. */
function shown(passage) {
  const { start, end } = excerpt(passage);
  const whole = passage.start + length(passage.text);
  const cut = start > passage.start || end < whole;
  const text = element("p", { class: "text", "data-ordinal": passage.ordinal });
  const close = () => text.replaceChildren(start > passage.start ? "… " : "", ...marked(passage, start, end), end < whole ? " …" : "");
  const open = () => text.replaceChildren(...marked(passage));
  close();
  if (!cut) return element("div", { class: "passage" }, text);
  const button = element("button", { type: "button", class: "link", "aria-expanded": "false" }, "Whole passage");
  button.addEventListener("click", () => {
    const opened = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!opened));
    button.textContent = opened ? "Whole passage" : "Less";
    (opened ? close : open)();
  });
  return element("div", { class: "passage" }, text, button);
}

/** Further passages, folded. */
function further(passages) {
  if (!passages.length) return null;
  const label = passages.length === 1 ? "1 more passage" : `${passages.length} more passages`;
  return element("details", { class: "further" }, element("summary", {}, label), passages.map(shown));
}

/** A value of the metadata for people. */
export const readable = (value) =>
  Array.isArray(value) ? value.map(readable).join(", ") : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);

function facts(metadata) {
  const simple = Object.entries(metadata).filter(([, value]) => value !== null && readable(value).length <= 80);
  if (!simple.length) return null;
  return element("dl", { class: "facts" }, simple.slice(0, METADATA).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, readable(value)))));
}

/** Its part of the best score; where some are negative, of the range. */
function share(score, scores) {
  const top = Math.max(...scores);
  const low = Math.min(0, ...scores);
  return top > low ? Math.max(0.02, (score - low) / (top - low)) : 1;
}

function bar(score, scores) {
  const label = `Score ${number(score)}, best ${number(Math.max(...scores))}`;
  const filled = element("span", { class: "filled" });
  filled.style.setProperty("width", `${Math.round(100 * share(score, scores))}%`);
  return element("span", { class: "score", role: "img", "aria-label": label, title: `${label}; scores compare within this answer only` }, filled);
}

export const number = (value) => (Number.isInteger(value) ? String(value) : Number(value.toPrecision(3)).toString());

/**
 * One hit. `actions`: {href(hit), open(hit), like(hit), unlike(hit), explain(hit) or null}
 */
export function card(hit, index, hits, actions) {
  const title = hit.title || hit.id;
  const id = `hit-${index}`;
  const link = element("a", { id, class: "title", href: actions.href(hit) }, title);
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || !actions.open) return;
    event.preventDefault();
    actions.open(hit);
  });
  const act = (name, does) => element("button", { type: "button", class: "link", "aria-describedby": id, onclick: () => does(hit) }, name);
  const [first, ...others] = hit.passages;
  return element("li", {}, element("article", { class: "hit", "aria-labelledby": id },
    element("header", { class: "head" },
      element("h2", {}, actions.open ? link : element("span", { id, class: "title", tabindex: "-1" }, title)),
      bar(hit.score, hits.map((each) => each.score))),
    element("p", { class: "where" }, element("span", { class: "source" }, hit.source), hit.title ? element("span", { class: "id" }, hit.id) : null),
    first ? shown(first) : null,
    further(others),
    element("footer", { class: "foot" }, facts(hit.metadata),
      element("div", { class: "acts" },
        act("More like this", actions.like), act("Not like this", actions.unlike), actions.explain ? act("Why this?", actions.explain) : null)),
  ));
}
