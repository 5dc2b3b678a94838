// A document as a whole: its passages, every span of them, and the ones that answer the question marked.
import * as api from "./api.js";
import { show } from "./dialogs.js";
import { counted, element } from "./dom.js";
import { readable } from "./hits.js";
import { pieces } from "./spans.js";

/** Open it. `answering`: the spans of the hit; `paging`: the parameter that takes `next`; `actions`: {like(part)}. */
export async function open({ source, id, title }, answering, paging, actions, closed) {
  const passages = element("div", { class: "passages" });
  const about = element("div", { class: "about" }, element("p", { class: "where" }, element("span", { class: "source" }, source), element("span", { class: "id" }, id)));
  const foot = element("p", { class: "more", role: "status" }, "Loading …");
  const shown = show("wide drawer", title || id, [about, passages, foot], closed);
  const like = (part) => {
    shown.close();
    actions.like({ source, id, title: shown.dialog.querySelector("h2").textContent, ...part });
  };
  let spans = 0;
  async function load(query) {
    const page = await api.content(source, id, query);
    if (query === "") {
      shown.dialog.querySelector("h2").textContent = page.title || id;
      about.append(facts(page));
    }
    for (const passage of page.passages) spans += passage.spans.length;
    passages.append(...page.passages.map((passage) => drawn(passage, answering, like)));
    const there = passages.childElementCount;
    foot.replaceChildren(`${counted(there, "passage")}, ${counted(spans, "span")}${page.next === null || page.next === undefined ? "" : " so far"}. `);
    if (page.next !== null && page.next !== undefined && paging) {
      const more = element("button", { type: "button", class: "secondary" }, "Show more");
      more.addEventListener("click", () => {
        more.disabled = true;
        load(`?${paging}=${encodeURIComponent(page.next)}`).catch(failed);
      });
      foot.append(more);
    }
  }
  const failed = (error) => foot.replaceChildren(error.words ?? "This document cannot be shown.");
  try {
    await load("");
    shown.body.querySelector("mark")?.scrollIntoView({ block: "center" });
  } catch (error) {
    failed(error);
  }
  return shown;
}

function facts(page) {
  const rows = [["version", page.version], ["type", page.content_type], ...Object.entries(page.metadata ?? {})].filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, readable(value)))));
}

function drawn(passage, answering, like) {
  const own = passage.spans.map((span) => ({ ...span, own: true }));
  const best = answering.filter((span) => span.start < passage.end && passage.start < span.end);
  const text = pieces(passage.text, passage.start, [...own, ...best]).map((piece) => {
    const found = piece.spans.some((span) => !span.own);
    const span = piece.spans.filter((each) => each.own).at(-1);
    if (!span && !found) return piece.text;
    return element(found ? "mark" : "span", { class: span ? "span" : null, title: span ? `characters ${span.start} to ${span.end}` : null, "data-start": piece.start, "data-end": piece.end }, piece.text);
  });
  return element("div", { class: "passage", "data-ordinal": passage.ordinal },
    element("p", { class: "text" }, text),
    element("button", { type: "button", class: "link", "aria-label": `More like passage ${passage.ordinal + 1}`, onclick: () => like({ start: passage.start, end: passage.end }) }, "More like this passage"));
}
