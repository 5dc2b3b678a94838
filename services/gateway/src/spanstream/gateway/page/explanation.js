// An explanation as tables, whatever its fields are: like things are rows of one table, a thing within a thing is indented.
import { element } from "./dom.js";
import { number } from "./hits.js";

const SAID = { without: "rank without", words: "matched words", title_words: "matched words of the title", added: "added by" };
const LEGS = { dense: "meaning of the passage", spans: "meaning of its spans", lexical: "words" };

const plain = (value) => typeof value !== "object" || value === null;
const thing = (value) => !plain(value) && !Array.isArray(value);
const row = (value) => plain(value) || (Array.isArray(value) && value.every(plain)); // fits a cell
const blank = (value) => value === null || value === undefined || (!plain(value) && Object.keys(value).length === 0);
const worded = (name) => SAID[name] ?? name.replaceAll("_", " ");

function said(value) {
  if (blank(value)) return "–";
  if (Array.isArray(value)) return value.map(said).join(", ");
  if (typeof value === "number") return number(value);
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}

/** Nodes for any value of JSON; what is empty is left out. */
export function explained(value, depth = 3) {
  if (row(value)) return [element("p", {}, said(value))];
  if (Array.isArray(value)) return [value.every(flat) ? grid(value.map((each) => [null, each])) : value.map((each) => within(each, depth))];
  const entries = Object.entries(value).filter(([, each]) => !blank(each));
  return [
    facts(entries.filter(([, each]) => row(each))),
    entries.filter(([, each]) => !row(each)).map(([name, each]) =>
      element("section", {}, element(`h${Math.min(6, depth)}`, {}, worded(name)), mapped(each) ? grid(Object.entries(each)) : explained(each, depth + 1))),
  ];
}

const flat = (value) => thing(value) && Object.values(value).every(row);
const mapped = (value) => thing(value) && Object.values(value).every(flat);
const within = (value, depth) => element("div", { class: "within" }, explained(value, depth));

function facts(entries) {
  if (!entries.length) return null;
  return element("table", { class: "few" }, element("tbody", {}, entries.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row", title: LEGS[name] ?? null }, worded(name)), element("td", {}, said(value))))));
}

/** Rows of [name or null, thing]; columns that are empty in all of them are left out. */
function grid(rows) {
  const named = rows.some(([name]) => name !== null);
  const columns = [...new Set(rows.flatMap(([, each]) => Object.keys(each)))].filter((name) => !rows.every(([, each]) => blank(each[name])));
  const head = [named && element("th", { scope: "col" }, element("span", { class: "hidden" }, "name")), columns.map((name) => element("th", { scope: "col" }, name.replaceAll("_", " ")))];
  const body = rows.map(([name, each]) => element("tr", {},
    named && element("th", { scope: "row" }, worded(name)),
    columns.map((column) => element("td", { class: typeof each[column] === "number" ? "figure" : null, title: column === "leg" ? LEGS[each.leg] : null }, said(each[column])))));
  return element("div", { class: "scrolling", tabindex: "0", role: "group", "aria-label": "table" },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}
