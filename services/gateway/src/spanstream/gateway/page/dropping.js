// Files dragged onto the page.
import { byId } from "./dom.js";

/** `take(files)` gets what is dropped. */
export function listen(take) {
  let depth = 0;
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files") && !document.querySelector("dialog[open]");
  const show = (shown) => {
    byId("drop").hidden = !shown;
  };
  document.addEventListener("dragenter", (event) => {
    if (files(event)) show((depth += 1) > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (files(event)) show((depth = Math.max(0, depth - 1)) > 0);
  });
  document.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    show((depth = 0) > 0);
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}
