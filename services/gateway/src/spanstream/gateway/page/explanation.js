// An explanation as tables, whatever its fields are: a list of like things or a map of them is a table, a thing its facts.
import { element } from "./dom.js";
import { number } from "./hits.js";

const LEGS = { dense: "meaning of the passage", spans: "meaning of its spans", lexical: "words" };
const plain = (value) => typeof value !== "object" || value === null;
const thing = (value) => !plain(value) && !Array.isArray(value);
const worded = (name) => name.replaceAll("_", " ");

const said = (value) =>
  value === null || value === undefined ? "–" : typeof value === "number" ? number(value) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);

/** Nodes for any value of JSON. */
export function explained(value, depth = 0) {
  if (plain(value)) return [element("p", {}, said(value))];
  if (Array.isArray(value)) return [list(value, depth)];
  const entries = Object.entries(value);
  const simple = entries.filter(([, each]) => plain(each) || short(each));
  const nested = entries.filter(([, each]) => !(plain(each) || short(each)));
  return [
    simple.length ? facts(simple) : null,
    ...nested.map(([name, each]) => element("section", {}, element(`h${Math.min(6, depth + 3)}`, {}, worded(name)), table(each, depth))),
  ];
}

const short = (value) => Array.isArray(value) && value.every(plain);

function facts(entries) {
  return element("table", {}, element("tbody", {}, entries.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, worded(name)), element("td", {}, cell(value))))));
}

function cell(value) {
  if (plain(value)) return said(value);
  if (short(value)) return value.length ? value.map(said).join(", ") : "–";
  return explained(value, 3);
}

/** A map of things, or of numbers: a row each. */
function table(value, depth) {
  const things = thing(value) && Object.values(value).length > 0 && Object.values(value).every(thing);
  if (!things) return explained(value, depth + 1);
  return grid(Object.entries(value).map(([name, each]) => [name, each]), true);
}

function list(values, depth) {
  if (!values.length) return element("p", { class: "faint" }, "none");
  if (values.every(thing)) return grid(values.map((each) => ["", each]), false);
  return element("ul", {}, values.map((each) => element("li", {}, plain(each) ? said(each) : explained(each, depth + 1))));
}

function grid(rows, named) {
  const columns = [...new Set(rows.flatMap(([, each]) => Object.keys(each)))];
  const head = element("tr", {}, named ? element("th", { scope: "col" }, element("span", { class: "hidden" }, "name")) : null, columns.map((name) => element("th", { scope: "col" }, worded(name))));
  return element("div", { class: "scrolling", tabindex: "0", role: "group", "aria-label": "table" }, element("table", {}, element("thead", {}, head), element("tbody", {}, rows.map(([name, each]) =>
    element("tr", {}, named ? element("th", { scope: "row", title: LEGS[name] ?? null }, worded(name)) : null,
      columns.map((column) => element("td", { class: typeof each[column] === "number" ? "figure" : null }, cell(each[column]))))))));
}
