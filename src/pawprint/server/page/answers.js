"use strict";

// What can be done with the answers: take them away as a table, look closer, say what is right.

const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/; // what spreadsheets would run

/** A cell of a table, so that every reader takes it apart again and no spreadsheet runs it. */
function cell(value, separator) {
  let text = String(value ?? "");
  if (FORMULA.test(text) && (text.trim() === "" || Number.isNaN(Number(text)))) text = `'${text}`;
  const quoted = /["\r\n]/.test(text) || text.includes(separator);
  return quoted ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The answers on the page, the first one first, with the columns of `pawprint predict`. */
function asTable(separator) {
  const cards = [...byId("answers").children].map((root) => root.card).filter((one) => one.answer);
  const names = [...new Set(cards.flatMap((one) => Object.keys(one.answer.probabilities ?? {})))];
  const fixed = ["path", "label", "probability", "problem"];
  const columns = names.map((name) => (fixed.includes(name) ? `${name} (class)` : name));
  const rows = [[...fixed.slice(0, 3), ...columns, fixed[3]]];
  for (const { name, answer } of cards) {
    const { label, probability, probabilities = {}, problem } = answer;
    const shares = [probability, ...names.map((one) => probabilities[one])];
    rows.push([name, label, ...shares.map((share) => share?.toFixed(6)), problem]);
  }
  return rows.map((row) => `${row.map((one) => cell(one, separator)).join(separator)}\n`).join("");
}

function saveAnswers() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([asTable(",")], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function copyAnswers() {
  const button = byId("copy");
  try {
    await navigator.clipboard.writeText(asTable("\t")); // spreadsheets paste it as cells
    button.textContent = "Copied";
    tell("The answers were copied.");
  } catch {
    say("The answers cannot be copied: allow it for this page, or save them as CSV.");
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function enlarge(card) {
  const { src, naturalWidth, naturalHeight } = card.root.querySelector(".picture");
  const large = byId("large-picture");
  large.src = src;
  large.alt = card.name;
  large.style.setProperty("--aspect", naturalWidth / naturalHeight);
  byId("large-name").textContent = card.name;
  byId("large").showModal();
}

// "Wrong, it is …"

let reviewed = null; // the card that the dialog is about

function askForRight(card) {
  reviewed = card;
  const { label, probabilities } = card.answer;
  const ordered = Object.keys(probabilities).sort((a, b) => probabilities[b] - probabilities[a]);
  const options = ordered.filter((name) => name !== label).map((name) => new Option(name));
  byId("right").replaceChildren(...options, new Option("another word …", ""));
  byId("review-name").textContent = `${card.name}: ${label}`;
  byId("other").value = "";
  complainOfReview("");
  offerOther();
  byId("review").showModal();
}

/** Show the field for another word where that is chosen. */
function offerOther() {
  byId("other-field").hidden = byId("right").value !== "";
}

function complainOfReview(sentence) {
  byId("review-problem").textContent = sentence;
  byId("review-problem").hidden = !sentence;
}

async function keepReview() {
  const card = reviewed;
  const right = byId("right").value || byId("other").value.trim();
  if (!right) {
    complainOfReview("Say in a word what it is.");
    byId("other").focus();
    return;
  }
  const form = new FormData();
  form.append("files", card.file, card.file.name || "picture");
  byId("keep").disabled = true;
  try {
    const address = `reviews?right_label=${encodeURIComponent(right)}`;
    const response = await fetch(address, { method: "POST", body: form });
    const content = await response.json();
    if (response.ok) {
      const sentence = `Kept for review: it is ${content.right_label}.`;
      card.root.querySelector(".kept").textContent = sentence;
      tell(`${card.name}: ${sentence}`);
      byId("review").close();
    } else complainOfReview(asSentence(content.error));
  } catch {
    complainOfReview(AWAY);
  }
  byId("keep").disabled = false;
}

function listenToAnswers() {
  byId("save").addEventListener("click", saveAnswers);
  byId("copy").addEventListener("click", copyAnswers);
  byId("copy").hidden = !navigator.clipboard; // none over plain HTTP from another machine
  byId("no-large").addEventListener("click", () => byId("large").close());
  byId("large").addEventListener("click", (event) => {
    if (event.target === byId("large")) byId("large").close(); // beside what it shows
  });
  byId("right").addEventListener("change", offerOther);
  byId("no-review").addEventListener("click", () => byId("review").close());
  byId("review-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepReview();
  });
}
