"use strict";

const AT_ONCE = 4; // requests of this page
const MOST_SHARES = 5; // classes of a card
const SECONDS = 30; // between two looks at who answers
const AWAY = "The server does not answer.";
const WANTED = "That is a link or text, and a file is wanted: save the picture, then bring its file.";
const byId = (id) => document.getElementById(id);
const percent = (share) => {
  // Never rounded up to all, nor down to none; the spaces do not break.
  if (share > 0 && share < 0.001) return "<\u00a00.1\u00a0%";
  if (share > 0.999 && share < 1) return ">\u00a099.9\u00a0%";
  return `${(Math.round(1000 * share) / 10).toFixed(1)}\u00a0%`;
};

/** Bytes as the server says them. */
function inMegabytes(size) {
  const [unit, word] = size >= 2 ** 20 ? [2 ** 20, "MB"] : size >= 1024 ? [1024, "kB"] : [1, "bytes"];
  return `${(size / unit).toLocaleString("en", { maximumSignificantDigits: 3 })} ${word}`;
}

/** What the server says, with a capital letter and one mark at its end. */
function asSentence(words) {
  const whole = words[0].toUpperCase() + words.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

let model = null;
let limits = null;
const waiting = [];
let asking = 0;

// Which model answers

/** Learn who answers now, and show it; a server that is away is told. */
async function loadModel() {
  try {
    const response = await fetch("model");
    if (!response.ok) throw new Error(response.statusText);
    model = await response.json();
  } catch {
    say(AWAY);
    return;
  }
  if (byId("notice").textContent === AWAY) say("");
  byId("who").textContent = model.name;
  const names = model.class_names;
  byId("question").textContent =
    names.length <= 4
      ? `${names.slice(0, -1).join(", ")} or ${names.at(-1)}?`
      : "What is in the picture?";
  byId("accuracy").textContent = accuracyInWords();
  byId("notes").textContent = model.notes.map((note) => `Note: ${note}.`).join(" ");
  showFacts();
  for (const card of byId("answers").children) tellWho(card);
}

/** Say on a card who answered, where others answer now. */
function tellWho(root) {
  const by = root.dataset.model;
  const other = by !== undefined && model !== null && by !== model.name;
  root.querySelector(".by").textContent = other ? `Answered by ${by}` : "";
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
  byId("limits").textContent =
    `Up to ${inMegabytes(limits.file_bytes)} and ` +
    `${Number((limits.pixels / 1e6).toPrecision(3))} megapixels each. ` +
    (limits.reviews
      ? "No picture is stored but those that you keep for review."
      : "No picture is stored.");
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
    button.addEventListener("click", () => tryExample(name, place));
    byId("strip").append(button);
  });
  byId("tries").hidden = examples.length === 0;
}

async function tryExample(name, place) {
  let sentence = AWAY;
  try {
    const response = await fetch(`examples/${place}`);
    if (response.ok) {
      const blob = await response.blob();
      add([new File([blob], name, { type: blob.type })]);
      return;
    }
    sentence =
      response.status === 404
        ? "This picture is gone: its file is not there any more."
        : asSentence((await response.json()).error);
  } catch {
    // the server is away
  }
  const card = makeCard(name);
  showCards([card]);
  card.fail(sentence);
}

// Asking

function add(files) {
  if (!files.length) return;
  say("");
  const cards = [...files].map((file) => makeCard(file.name || "pasted picture", file));
  showCards(cards);
  waiting.push(...cards);
  askNext();
}

function showCards(cards) {
  byId("results").hidden = false;
  document.body.classList.add("asked");
  byId("answers").prepend(...cards.map((card) => card.root));
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
    card.fail(`This file is larger than ${inMegabytes(limits.file_bytes)}: send a smaller one.`);
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
    if (content.model !== undefined) {
      card.root.dataset.model = content.model;
      if (content.model !== model?.name) await loadModel();
    }
    if (prediction === undefined) card.fail(asSentence(content.error));
    else if (prediction.problem) card.fail(`This file ${prediction.problem}.`);
    else card.show(prediction);
  } catch {
    card.fail(
      "This file could not be sent: is it a folder, or does the server not answer any more?",
    );
  }
}

// A card

/** A card for a picture; without a file, one that is to say why there is none. */
function makeCard(name, file = null) {
  const root = byId("answer").content.cloneNode(true).querySelector("article");
  const part = (name) => root.querySelector(`.${name}`);
  const picture = part("picture");
  part("name").textContent = name;
  part("name").title = name;
  picture.addEventListener("load", () => fitFrame(root));
  picture.addEventListener("error", () => root.classList.add("no-preview"));
  if (file) picture.src = URL.createObjectURL(file);
  else root.classList.add("no-preview");
  part("look").setAttribute("aria-label", `Where it looked: ${name}`);
  part("look").addEventListener("click", () => {
    look(root, !root.classList.contains("looking"));
    if (!root.classList.contains("looking")) byId("look").checked = false; // not all of them now
  });
  part("enlarge").setAttribute("aria-label", `Enlarge ${name}`);
  part("enlarge").addEventListener("click", () => enlarge(root.card));
  part("wrong").setAttribute("aria-label", `Wrong, it is …: ${name}`);
  part("wrong").addEventListener("click", () => askForRight(root.card));
  root.card = {
    root,
    name,
    file,
    answer: null,
    show(prediction) {
      root.card.answer = prediction;
      part("wrong").hidden = !limits?.reviews;
      root.classList.remove("waiting");
      const unsure = !(prediction.label in prediction.probabilities);
      root.classList.toggle("unsure", unsure);
      const share = element("b", "", percent(prediction.probability));
      part("label").replaceChildren(element("span", "", prediction.label));
      if (unsure) {
        part("sentence").textContent =
          `No class reaches ${percent(model?.threshold ?? 0)}, from which on answers are sure enough.`;
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
      tellWho(root);
      tell(`${name}: ${prediction.label}, ${percent(prediction.probability)}`);
    },
    fail(sentence) {
      root.card.answer = { problem: sentence };
      root.classList.remove("waiting");
      root.classList.add("problem");
      part("label").textContent = "No answer";
      part("sentence").textContent = sentence;
      tell(`${name}: ${sentence}`);
    },
  };
  return root.card;
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

/** Say something that is about no card; nothing takes it away. */
function say(sentence) {
  if (byId("notice").textContent === sentence) return; // it would be read out again
  byId("notice").textContent = sentence;
  byId("notice").hidden = !sentence;
}

// Ways to bring pictures

function bring(carried) {
  if (carried?.files.length) add([...carried.files]);
  else if (carried?.types.length) say(WANTED);
}

function listen() {
  byId("choose").addEventListener("click", () => byId("files").click());
  offerCamera(add, say);
  listenToAnswers();
  for (const input of ["files", "camera"]) {
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
    bring(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => bring(event.clipboardData));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") loadModel();
  });
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
loadModel();
setInterval(() => document.visibilityState === "visible" && loadModel(), 1000 * SECONDS);
loadLimits().catch(() => {});
loadExamples().catch(() => {});
