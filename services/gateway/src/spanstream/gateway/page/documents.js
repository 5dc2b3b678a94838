// A document as a whole: its passages, every span of them, and the ones that answer the question marked.
import * as api from "./api.js";
import { show } from "./dialogs.js";
import { counted, element, fill } from "./dom.js";
import { readable } from "./hits.js";
import { pieces } from "./spans.js";

const BEFORE = 3; // passages before the one that answers, where that is far from the beginning
const FAR = 40; // passages

/** Open it where `answering` begins, the hit's passages. `actions`: {like(part)}. Raises nothing: what fails is said in it. */
export function open({ source, id, title }, answering, actions, closed) {
  const about = element("div", { class: "about" });
  const above = element("p", { class: "more" });
  const passages = element("div", { class: "passages" });
  const foot = element("p", { class: "more", role: "status" }, "Loading …");
  const shown = show("wide drawer", title || id, [about, above, passages, foot], closed);
  const heading = shown.dialog.querySelector("h2");
  const spans = answering.flatMap((passage) => passage.spans);
  const like = (part) => {
    shown.close();
    actions.like({ source, id, title: heading.textContent, ...part });
  };

  let there = 0; // spans of the passages shown
  async function load(from) {
    try {
      const page = await api.content(source, id, from);
      heading.textContent = page.title || id;
      fill(about, element("p", { class: "where" }, element("span", { class: "source" }, source), element("span", { class: "id" }, id)), facts(page));
      passages.append(...page.passages.map((passage) => drawn(passage, spans, like)));
      there += page.passages.reduce((sum, passage) => sum + passage.spans.length, 0);
      fill(foot, element("span", {}, `${counted(passages.childElementCount, "passage")}, ${counted(there, "span")} shown. `));
      if (Number.isInteger(page.next)) foot.append(button("Show more", () => load(page.next)));
    } catch (error) {
      fill(foot, element("span", {}, error.words ?? "This document cannot be shown."));
    }
  }
  const best = answering[0]?.ordinal ?? 0;
  const from = best > FAR ? best - BEFORE : 0;
  if (from) {
    above.append(button("Show it from the beginning", () => {
      above.replaceChildren();
      passages.replaceChildren();
      there = 0;
      load(0);
    }));
  }
  load(from).then(() => passages.querySelector(spans.length ? `mark[data-start="${Number(spans[0].start)}"]` : "mark")?.scrollIntoView({ block: "center" }));
  return shown;
}

function button(text, does) {
  const node = element("button", { type: "button", class: "secondary" }, text);
  node.addEventListener("click", () => {
    node.disabled = true;
    does();
  });
  return node;
}

function facts(page) {
  const known = [["version", page.version], ["type", page.content_type], ...Object.entries(page.metadata ?? {})];
  const rows = known.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, readable(value)))));
}

/** One passage: spans within spans are cut at every border, the innermost names its offsets. */
function drawn(passage, answering, like) {
  const own = passage.spans.map((span) => ({ ...span, own: true }));
  const best = answering.filter((span) => span.start < passage.end && passage.start < span.end);
  const text = pieces(passage.text, passage.start, [...own, ...best]).map((piece) => {
    const found = piece.spans.some((span) => !span.own);
    const span = piece.spans.filter((each) => each.own).sort((a, b) => a.end - a.start - (b.end - b.start))[0];
    if (!span && !found) return piece.text;
    const title = span ? `characters ${span.start} to ${span.end}` : null;
    return element(found ? "mark" : "span", { class: span ? "span" : null, title, "data-start": piece.start, "data-end": piece.end }, piece.text);
  });
  const part = { start: passage.start, end: passage.end };
  return element("div", { class: "passage", "data-ordinal": passage.ordinal },
    element("p", { class: "text" }, text),
    element("button", { type: "button", class: "link", "aria-label": `More like this passage, number ${passage.ordinal + 1}`, onclick: () => like(part) }, "More like this passage"));
}
