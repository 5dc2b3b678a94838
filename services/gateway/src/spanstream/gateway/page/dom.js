// Elements without HTML: what comes from a document or a person becomes text, never markup.

/** An element with attributes (`on…` are listeners) and children, texts among them; what is null or false is left out. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** New children for a node; the focus stays on what has the same `data-focus`. */
export function fill(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused !== undefined) [...node.querySelectorAll("[data-focus]")].find((each) => each.dataset.focus === focused)?.focus();
}

/** "1 document", "1,204 documents". */
export function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
