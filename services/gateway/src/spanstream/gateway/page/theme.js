// Runs before the page is drawn, so that it never flashes in the other colours.
(() => {
  const theme = localStorage.getItem("spanstream.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
