"use strict";
// Asks for news, shows the faults, and swaps pages once their images are there,
// so that nothing flickers and the place that was scrolled to stays.
const at = (id) => document.getElementById(id);
const shown = {
  sample: document.body.dataset.sample,
  locale: document.body.dataset.locale,
  viewer: "pages",
};
let told = null;
let drawing = "";

function make(tag, text, kind) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function query() {
  return "?" + new URLSearchParams({ sample: shown.sample, locale: shown.locale });
}

function current() {
  return told.documents.find((one) => one.sample === shown.sample && one.locale === shown.locale);
}

function place(fault) {
  return [fault.file, fault.line, fault.column].filter((part) => part !== null).join(":");
}

function faults() {
  at("faults").replaceChildren(...told.faults.map((fault) => {
    const item = make("li");
    const where = place(fault);
    if (where) item.append(make("div", where, "place"));
    const language = fault.locale ? ` (${fault.locale})` : "";
    item.append(make("div", `${fault.what}${language}`, "what"));
    if (fault.excerpt) {
      const code = make("pre", fault.excerpt.text + "\n");
      code.append(make("mark", " ".repeat(fault.excerpt.before) + "^"));
      item.append(code);
    }
    return item;
  }));
}

function proofs() {
  const rows = told.samples.map((sample) => {
    const row = make("tr");
    const head = make("th", sample.split("/").pop());
    head.scope = "row";
    row.append(head);
    for (const locale of locales()) {
      const made = told.documents.find((one) => one.sample === sample && one.locale === locale);
      const fresh = made && made.revision === told.revision;
      const button = make("button", fresh ? `${made.pages} ${made.pages === 1 ? "page" : "pages"}` : "error", fresh ? "" : "bad");
      button.type = "button";
      button.setAttribute("aria-current", sample === shown.sample && locale === shown.locale);
      button.onclick = () => choose({ sample, locale });
      const cell = make("td");
      cell.append(button);
      row.append(cell);
    }
    return row;
  });
  at("proofs").tBodies[0].replaceChildren(...rows);
  at("samples").replaceChildren(...told.samples.map((sample) => {
    const option = make("option", sample);
    option.selected = sample === shown.sample;
    return option;
  }));
}

function locales() {
  return [...document.querySelectorAll("#locales button")].map((button) => button.dataset.locale);
}

function pressed() {
  for (const button of document.querySelectorAll("#locales button")) {
    button.setAttribute("aria-pressed", button.dataset.locale === shown.locale);
  }
  for (const button of document.querySelectorAll("#viewers button")) {
    button.setAttribute("aria-pressed", button.dataset.viewer === shown.viewer);
  }
}

function status() {
  const count = told.faults.length;
  at("light").className = "light " + (count ? "bad" : "good");
  at("version").textContent = (told.version || "").split("@")[1] || "";
  const all = told.samples.length * locales().length;
  at("status").textContent = count
    ? `${count} ${count === 1 ? "error" : "errors"}`
    : `All ${all} documents render, in ${told.milliseconds} ms`;
  document.title = (count ? "✗ " : "✓ ") + document.querySelector("h1").textContent;
}

async function image(number) {
  const answer = await fetch(`pages/${number}${query()}`);
  if (!answer.ok) throw new Error("no images");
  const picture = new Image();
  picture.alt = `Page ${number}`;
  picture.src = URL.createObjectURL(await answer.blob());
  await picture.decode();
  return picture;
}

async function stage() {
  const made = current();
  const stale = Boolean(made) && made.revision !== told.revision;
  at("none").hidden = Boolean(made);
  at("stale").hidden = !stale;
  at("pages").className = stale ? "stale" : "";
  at("pages").hidden = !made || shown.viewer !== "pages";
  at("viewer").hidden = !made || shown.viewer !== "viewer";
  at("open").hidden = !made;
  at("written").href = `written.html${query()}`;
  if (!made) return;
  const file = `document.pdf${query()}`;
  at("open").href = file;
  const wanted = `${shown.viewer} ${file} ${made.revision}`;
  if (wanted === drawing) return;
  drawing = wanted;
  if (shown.viewer === "viewer") {
    at("viewer").src = `${file}&revision=${made.revision}#toolbar=0`;
    return;
  }
  try {
    const fresh = [];
    for (let number = 1; number <= made.pages; number += 1) {
      const picture = await image(number);
      if (drawing !== wanted) return;
      const old = at("pages").children[number - 1];
      if (old) {
        URL.revokeObjectURL(old.src);
        old.replaceWith(picture);
      } else {
        at("pages").append(picture);
      }
      fresh.push(picture);
    }
    while (at("pages").children.length > fresh.length) at("pages").lastChild.remove();
  } catch {
    if (drawing !== wanted) return;
    // Without poppler the browser's own viewer has to do.
    document.querySelector('[data-viewer="pages"]').hidden = true;
    choose({ viewer: "viewer" });
  }
}

function show() {
  if (!told.samples.includes(shown.sample) && told.samples.length) shown.sample = told.samples[0];
  pressed();
  if (!told.revision) return;
  status();
  faults();
  proofs();
  stage();
}

function choose(what) {
  Object.assign(shown, what);
  if (told) show();
}

at("samples").onchange = () => choose({ sample: at("samples").value });
for (const button of document.querySelectorAll("#locales button")) {
  button.onclick = () => choose({ locale: button.dataset.locale });
}
for (const button of document.querySelectorAll("#viewers button")) {
  button.onclick = () => choose({ viewer: button.dataset.viewer });
}

async function listen() {
  for (;;) {
    try {
      const answer = await fetch(`state?seen=${told ? told.revision : 0}`);
      if (!answer.ok) throw new Error("closed");
      told = await answer.json();
      show();
    } catch {
      at("light").className = "light gone";
      at("status").textContent = "The preview has ended. Start it again, with the address it prints then.";
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}
pressed();
listen();
