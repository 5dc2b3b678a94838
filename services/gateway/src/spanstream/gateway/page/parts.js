// The parts of a question beside its text: rows for texts, chips for documents.
import { byId, element } from "./dom.js";
import { example, named } from "./question.js";

const WORDS = {
  all: ["and", "Also about"],
  any: ["or", "Or about"],
  not: ["not", "Not about"],
  like: ["like", "Like a document"],
  unlike: ["unlike", "Unlike a document"],
};

/** Draw them all. `changed(typing)` after every change of `parts`, which are changed in place. */
export function draw(parts, changed) {
  byId("parts").replaceChildren(...parts.map((part) => row(part, parts, changed)));
}

/** The buttons that add a part. */
export function buttons(add) {
  byId("adding").replaceChildren(...Object.entries(WORDS).map(([kind, [word, says]]) =>
    element("button", { type: "button", class: "link", "aria-label": `${says} …`, title: `${says} …`, onclick: () => add(kind) }, `+ ${word}`)));
}

/** Put the cursor into the last row. */
export function focusLast() {
  [...byId("parts").querySelectorAll("input")].at(-1)?.focus();
}

function row(part, parts, changed) {
  const [word, says] = WORDS[part.kind];
  const about = part.kind === "like" || part.kind === "unlike";
  const remove = () => {
    parts.splice(parts.indexOf(part), 1);
    draw(parts, changed);
    byId("query").focus();
    changed(false);
  };
  const button = element("button", { type: "button", class: "remove", "aria-label": `Remove: ${says} ${part.title ?? part.text ?? part.id ?? ""}`, onclick: remove }, "×");
  const sign = element("span", { class: `kind ${part.kind}` }, word);
  if (part.id) {
    const place = part.start === undefined ? "" : `, characters ${part.start} to ${part.end}`;
    return element("div", { class: "part chip", title: named(part) }, sign, element("span", { class: "what" }, part.title || part.id, element("span", { class: "faint" }, place)), button);
  }
  const input = element("input", { type: "text", "aria-label": says, value: part.text ?? "", maxlength: "4000", placeholder: about ? "source/id" : "", autocomplete: "off" });
  input.addEventListener("input", () => {
    part.text = input.value;
    if (!about) changed(true);
  });
  input.addEventListener("change", () => {
    const document = about && example(input.value);
    if (document) {
      Object.assign(part, document);
      delete part.text;
      draw(parts, changed);
    } else if (about) input.setCustomValidity(input.value ? "Name it as source/id." : "");
    if (!input.reportValidity()) return;
    changed(false);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && !input.value) {
      event.preventDefault();
      remove();
    }
  });
  return element("div", { class: "part" }, sign, input, button);
}
