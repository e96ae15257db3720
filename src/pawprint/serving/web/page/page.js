"use strict";

const AT_ONCE = 4; // requests of this page
const MOST_SHARES = 5; // classes of a card
const byId = (id) => document.getElementById(id);
const percent = (share) => {
  // Never rounded up to all, nor down to none; the spaces do not break.
  if (share > 0 && share < 0.001) return "<\u00a00.1\u00a0%";
  if (share > 0.999 && share < 1) return ">\u00a099.9\u00a0%";
  return `${(Math.round(1000 * share) / 10).toFixed(1)}\u00a0%`;
};

let model = null;
let limits = null;
const waiting = [];
let asking = 0;

// Which model answers

async function loadModel() {
  model = await (await fetch("model")).json();
  byId("who").textContent = model.name;
  const names = model.class_names;
  byId("question").textContent =
    names.length <= 4
      ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}?`
      : "What is in the picture?";
  byId("accuracy").textContent = accuracyInWords();
  showFacts();
}

function interval() {
  const { test_accuracy_low: low, test_accuracy_high: high } = model;
  return low === null || high === null
    ? ""
    : ` (95\u00a0% interval ${percent(low)} to ${percent(high)})`;
}

function accuracyInWords() {
  if (model.test_accuracy === null) return "";
  const right = `Right on ${percent(model.test_accuracy)} of its test pictures${interval()}.`;
  return model.threshold > 0
    ? `${right} Below ${percent(model.threshold)} it says that it is not sure.`
    : right;
}

function showFacts() {
  const facts = {
    Model: model.name,
    Run: model.run_id,
    "Test accuracy":
      model.test_accuracy === null ? null : percent(model.test_accuracy) + interval(),
    Data: model.data_digest,
    Code: model.git_commit,
    Classes: model.class_names.join(", "),
    Sees: `${model.image_size} × ${model.image_size} pixels (${model.resize})`,
    "Not sure below": model.threshold > 0 ? percent(model.threshold) : null,
  };
  const rows = [];
  for (const [name, value] of Object.entries(facts)) {
    if (value === null || value === "none") continue;
    rows.push(element("dt", "", name), element("dd", "", value));
  }
  byId("facts").replaceChildren(...rows);
}

async function loadLimits() {
  limits = await (await fetch("limits")).json();
  const most = limits.file_bytes / 2 ** 20;
  byId("limits").textContent =
    `Up to ${Number(most.toPrecision(3))} MB and ` +
    `${Number((limits.pixels / 1e6).toPrecision(3))} megapixels each. No picture is stored.`;
}

// Pictures to try

async function loadExamples() {
  const { examples } = await (await fetch("examples")).json();
  examples.forEach((name, place) => {
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-label", `Try ${name}`);
    const image = element("img");
    image.src = `examples/${place}`;
    image.alt = "";
    button.append(image);
    button.addEventListener("click", async () => {
      const blob = await (await fetch(`examples/${place}`)).blob();
      add([new File([blob], name, { type: blob.type })]);
    });
    byId("strip").append(button);
  });
  byId("tries").hidden = examples.length === 0;
}

// Asking

function add(files) {
  if (!files.length) return;
  byId("results").hidden = false;
  document.body.classList.add("asked");
  const cards = [...files].map((file) => makeCard(file));
  byId("answers").prepend(...cards.map((card) => card.root));
  waiting.push(...cards);
  askNext();
  byId("results").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function askNext() {
  while (asking < AT_ONCE && waiting.length) {
    asking += 1;
    ask(waiting.shift()).finally(() => {
      asking -= 1;
      askNext();
    });
  }
}

async function ask(card) {
  if (limits && card.file.size > limits.file_bytes) {
    card.fail(`is larger than ${Math.floor(limits.file_bytes / 2 ** 20)} MB`);
    return;
  }
  const form = new FormData();
  form.append("files", card.file, card.file.name || "picture");
  try {
    const response = await fetch("predict?maps=true", { method: "POST", body: form });
    if (response.status === 503) {
      const seconds = Number(response.headers.get("retry-after")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      waiting.push(card);
      return;
    }
    const content = await response.json();
    const [prediction] = content.predictions ?? [];
    if (prediction === undefined) card.fail(content.error);
    else if (prediction.problem) card.fail(prediction.problem);
    else card.show(prediction);
    if (content.model && model && content.model !== model.name) await loadModel();
  } catch {
    card.fail("could not be sent: is it a folder, or does the server not answer any more?");
  }
}

// A card

function makeCard(file) {
  const root = byId("answer").content.cloneNode(true).querySelector("article");
  const part = (name) => root.querySelector(`.${name}`);
  const name = file.name || "pasted picture";
  const picture = part("picture");
  part("name").textContent = name;
  part("name").title = name;
  picture.addEventListener("load", () => fitFrame(root));
  picture.addEventListener("error", () => root.classList.add("no-preview"));
  picture.src = URL.createObjectURL(file);
  part("look").addEventListener("click", () => look(root, !root.classList.contains("looking")));
  return {
    root,
    file,
    show(prediction) {
      root.classList.remove("waiting");
      const unsure = !(prediction.label in prediction.probabilities);
      root.classList.toggle("unsure", unsure);
      const share = element("b", "", percent(prediction.probability));
      part("label").replaceChildren(element("span", "", prediction.label));
      if (unsure) {
        part("sentence").textContent =
          `No class reaches ${percent(model.threshold)}, from which on answers are sure enough.`;
      } else {
        part("label").append(share);
      }
      part("shares").replaceChildren(...shares(prediction.probabilities));
      if (prediction.map) {
        part("map").src = prediction.map;
        part("look").hidden = false;
        look(root, byId("look").checked);
      }
      picture.alt = `${name}: ${prediction.label}`;
      tell(`${name}: ${prediction.label}, ${percent(prediction.probability)}`);
    },
    fail(sentence) {
      root.classList.remove("waiting");
      root.classList.add("problem");
      part("label").textContent = "No answer";
      part("sentence").textContent = `This file ${sentence}.`;
      tell(`${name} ${sentence}`);
    },
  };
}

function shares(probabilities) {
  const ordered = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const shown = ordered.slice(0, MOST_SHARES);
  const rows = shown.map(([name, share]) => shareRow(name, share));
  const rest = ordered.slice(MOST_SHARES);
  if (rest.length) {
    const sum = rest.reduce((total, [, share]) => total + share, 0);
    rows.push(shareRow(`${rest.length} others`, sum));
  }
  return rows;
}

function shareRow(name, share) {
  const row = element("li");
  const track = element("span", "track");
  const bar = element("i");
  bar.style.width = `${100 * share}%`;
  track.append(bar);
  const number = element("span", "number", percent(share));
  number.title = share.toFixed(6);
  row.append(element("span", "", name), number, track);
  return row;
}

function look(root, on) {
  const map = root.querySelector(".map");
  if (!map.src) return;
  root.classList.toggle("looking", on);
  map.hidden = !on;
  root.querySelector(".look").setAttribute("aria-pressed", String(on));
}

function fitFrame(root) {
  const { naturalWidth: width, naturalHeight: height } = root.querySelector(".picture");
  if (!width || !height) return;
  const aspect = width / height;
  root.querySelector(".frame").style.setProperty("--aspect", aspect);
  // The map is of the square that the model saw: of all of the picture squashed, of its middle, or
  // of the picture with margins.
  let across = 1;
  let down = 1;
  const crops = model?.resize === "crop";
  if (crops || model?.resize === "pad") {
    if (crops === aspect > 1) across = 1 / aspect;
    else down = aspect;
  }
  Object.assign(root.querySelector(".map").style, {
    width: `${100 * across}%`,
    height: `${100 * down}%`,
    left: `${50 * (1 - across)}%`,
    top: `${50 * (1 - down)}%`,
  });
}

function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.textContent = text; // never markup: names of files and classes are others' words
  return made;
}

function tell(sentence) {
  byId("status").textContent = sentence;
}

// Ways to bring pictures

function listen() {
  for (const [button, input] of [
    ["choose", "files"],
    ["photograph", "camera"],
  ]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", (event) => {
      add([...event.target.files]);
      event.target.value = ""; // the same picture may be chosen again
    });
  }
  let depth = 0; // of elements that the pointer with the pictures is in
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", () => over(1));
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    add([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => add([...(event.clipboardData?.files ?? [])]));
  byId("look").addEventListener("change", (event) => {
    for (const root of byId("answers").children) look(root, event.target.checked);
  });
  byId("clear").addEventListener("click", () => {
    waiting.length = 0;
    for (const image of document.querySelectorAll(".picture")) URL.revokeObjectURL(image.src);
    byId("answers").replaceChildren();
    byId("results").hidden = true;
    document.body.classList.remove("asked");
    byId("choose").focus();
  });
}

listen();
loadModel().catch(() => tell("The server does not answer."));
loadLimits().catch(() => {});
loadExamples().catch(() => {});
