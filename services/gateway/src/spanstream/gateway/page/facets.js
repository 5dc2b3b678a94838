// Filters: values to choose with their counts, what is chosen already, and a filter of one's own.
import { byId, element, fill } from "./dom.js";
import { readable } from "./hits.js";
import { chosen } from "./question.js";

const FIELDS = 5; // of metadata
const VALUES = 12; // of a field
const FEW = 40; // characters; longer values are texts, not names

/** The metadata fields to choose by: those known already, then those of these hits. */
export const merged = (known, hits) => [...new Set([...known, ...fields(hits)])].slice(0, FIELDS);

/** The metadata fields of these hits that hold names or numbers, not texts. */
function fields(hits) {
  const found = new Map();
  for (const { metadata } of hits) {
    for (const [name, value] of Object.entries(metadata)) {
      const values = [value].flat();
      const nameable = /^[^.[\]"\u0000-\u001f]{1,64}$/u.test(name) && values.length && values.every(choosable);
      found.set(name, found.get(name) !== false && nameable);
    }
  }
  return [...found].filter(([, good]) => good).map(([name]) => `metadata.${name}`);
}

const choosable = (value) =>
  typeof value === "boolean" || Number.isInteger(value) || (typeof value === "string" && value.length > 0 && value.length <= FEW);

/** What a server that counts nothing leaves to be said: the values of the hits that are shown. [{field, values}] */
function counted(hits, names) {
  return names.map((field) => {
    const counts = new Map();
    for (const hit of hits) {
      const value = field === "source" ? hit.source : hit.metadata[field.slice("metadata.".length)];
      for (const each of new Set([value].flat())) if (choosable(each)) counts.set(each, (counts.get(each) ?? 0) + 1);
    }
    const values = [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count);
    return { field, values: values.slice(0, VALUES) };
  });
}

const seen = new Map(); // field -> its values when nothing of it was chosen: they stay, so that a second one can be

/** The groups to show: the server's facets, else counts of the hits shown; every source, and all that can be chosen too. */
export function groups(answer, known, sources, filters) {
  const given = new Map((answer?.facets ?? []).map((each) => [each.field, each.values]));
  const own = new Map(counted(answer?.hits ?? [], ["source", ...known]).map((each) => [each.field, each.values]));
  const fromSources = sources.map(({ source, documents }) => ({ value: source, count: answer ? null : documents }));
  return ["source", ...known].map((field) => {
    const counts = given.get(field) ?? own.get(field) ?? [];
    const listed = new Set(counts.map((each) => each.value));
    const missing = (values) => values.filter(({ value }) => !listed.has(value) && listed.add(value));
    const more = field === "source" ? missing(fromSources) : [];
    const active = chosen(filters, field);
    if (!active.length) seen.set(field, counts);
    const others = active.length ? [...active, ...(seen.get(field) ?? []).map((each) => each.value)] : [];
    return { field, values: [...counts, ...more, ...missing(others.map((value) => ({ value, count: null })))] };
  });
}

const label = (field) => (field === "source" ? "Source" : field.replace(/^metadata\./, ""));
const OPERATORS = [["eq", "is"], ["gte", "at least"], ["lte", "at most"]];
const worded = (filter) => {
  if (filter.in) return `${label(filter.field)}: ${filter.in.map(readable).join(" or ")}`;
  return OPERATORS.filter(([name]) => filter[name] !== undefined).map(([name, words]) => `${label(filter.field)} ${words} ${filter[name]}`).join(", ");
};

/** Draw them. `actions`: {toggle(field, value), remove(filter)} */
export function draw(node, all, filters, actions) {
  fill(node,
    filters.length ? element("ul", { class: "chosen", "aria-label": "Filters in use" }, filters.map((filter) =>
      element("li", { class: "chip" }, element("span", {}, worded(filter) || filter.field),
        element("button", { type: "button", class: "remove", "aria-label": `Remove the filter ${worded(filter)}`, onclick: () => actions.remove(filter) }, "×")))) : null,
    all.filter((each) => each.values.length).map((each) => group(each, filters, actions)));
  fill(byId("fields"), all.map(({ field }) => element("option", { value: label(field) })));
}

function group({ field, values }, filters, actions) {
  const active = chosen(filters, field);
  return element("fieldset", { class: "facet" }, element("legend", {}, label(field)), values.slice(0, Math.max(VALUES, active.length)).map(({ value, count }) =>
    element("label", { class: "value" },
      element("input", { type: "checkbox", checked: active.includes(value), "data-focus": JSON.stringify([field, value]), onchange: () => actions.toggle(field, value) }),
      element("span", { class: "named" }, readable(value)),
      count === null ? null : element("span", { class: "number" }, count.toLocaleString("en")))));
}

/** A filter of one's own: a field, how, a value. Drawn once, so that what somebody writes into it stays. */
export function byHand(node, actions) {
  const names = element("datalist", { id: "fields" });
  const field = element("input", { list: "fields", "aria-label": "Field", placeholder: "field", required: true, maxlength: "200" });
  const how = element("select", { "aria-label": "Comparison" }, OPERATORS.map(([name, words]) => element("option", { value: name }, words)));
  const value = element("input", { "aria-label": "Value", placeholder: "value or date", required: true, maxlength: "500" });
  const form = element("form", { class: "own" }, names, field, how, value, element("button", { type: "submit", class: "secondary" }, "Apply"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = field.value.trim();
    const text = value.value.trim();
    const plain = { source: "source", Source: "source", id: "id" }[name] ?? `metadata.${name.replace(/^metadata\./, "")}`;
    const typed = text === "true" ? true : text === "false" ? false : text !== "" && Number.isFinite(Number(text)) && plain.startsWith("metadata.") ? Number(text) : text;
    actions.add({ field: plain, [how.value]: typed });
    value.value = "";
  });
  node.append(element("details", { class: "byhand" }, element("summary", {}, "Filter by a value"), form));
}
