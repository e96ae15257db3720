// What a page does beyond being read. Without it all pictures are shown, and all links work.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The menu marks the section in view; folded out on a phone, a link folds it again.
  const links = all(".menu a");
  const mark = () => {
    const above = links.filter((link) =>
      document.querySelector(link.hash)?.getBoundingClientRect().top < innerHeight / 3);
    const current = above.at(-1)?.hash;
    for (const link of links) {
      if (link.hash === current) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  };
  if (links.length) addEventListener("scroll", mark, {passive: true});
  for (const link of links) {
    link.addEventListener("click", () => link.closest("details")?.removeAttribute("open"));
  }

  // Pictures: a click shows them large, with those before and after.
  const dialog = document.getElementById("enlarged");
  const large = dialog.querySelector(".large");
  const [previous, next, close] = all("button", dialog);
  let shown;
  const beside = (step) => {
    const figures = all(".tile:not([hidden]), .pair:not([hidden])", shown.parentElement)
      .filter((figure) => figure.querySelector(".enlarge"));
    return figures[figures.indexOf(shown) + step];
  };
  const show = (figure) => {
    shown = figure;
    const pictures = document.createElement("div");
    pictures.className = "pictures";
    pictures.append(...all("img", figure).map((image) => image.cloneNode()));
    const words = document.createElement("div");
    words.className = "words";
    words.append(figure.querySelector("figcaption").cloneNode(true));
    large.replaceChildren(pictures, words);
    previous.disabled = !beside(-1);
    next.disabled = !beside(1);
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => beside(by) && show(beside(by));
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => shown.querySelector(".enlarge").focus());
  for (const figure of all(".tile, .pair")) {
    const images = all("img", figure);
    if (!images.length) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    images[0].before(button);
    button.append(...images);
    button.addEventListener("click", () => show(figure));
  }

  // Mistakes: those of a cell of the confusion matrix alone, and in another order.
  const list = document.getElementById("all-mistakes");
  if (!list) return;
  const tools = document.querySelector(".tools.of-mistakes");
  const [everything, order] = [tools.querySelector("button"), tools.querySelector("select")];
  const status = tools.querySelector("[role=status]");
  const figures = all(".pair", list);
  const cells = all("a[data-cell]");
  const filter = (cell) => {
    for (const figure of figures) figure.hidden = Boolean(cell) && figure.dataset.cell !== cell;
    for (const link of cells) {
      if (link.dataset.cell === cell) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const left = figures.filter((figure) => !figure.hidden);
    const chosen = cells.find((link) => link.dataset.cell === cell);
    status.textContent = chosen
      ? `${left.length} of ${chosen.textContent} shown: ${chosen.dataset.names}`
      : `${figures.length} of ${list.dataset.all} shown`;
    everything.hidden = !cell;
  };
  for (const link of cells) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      filter(link.dataset.cell);
      tools.scrollIntoView();
      everything.focus({preventScroll: true});
    });
  }
  everything.addEventListener("click", () => {
    filter("");
    order.focus({preventScroll: true});
  });
  const compare = new Intl.Collator("en", {numeric: true}).compare;
  order.addEventListener("change", () => {
    const sorted = order.value === "file"
      ? [...figures].sort((a, b) => compare(a.dataset.path, b.dataset.path)) : figures;
    list.append(...sorted);
  });
  tools.hidden = false;
  filter("");
})();
