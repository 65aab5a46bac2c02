// The reading page: puts viewer, marks, brush and keys together, and sends what the reader says.
import { say, typing, help } from "./app.js";
import { Viewer } from "./viewer.js";
import { Boxes } from "./boxes.js";
import { Brush } from "./brush.js";

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const base = `/study/${data.study}`;
const readable = data.image && !data.image.unreadable;

async function send(path, body) {
  const answer = await fetch(base + path, {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-CSRF-Token": data.csrf },
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) location.href = "/login";
  if (!answer.ok) { say(said.detail || "That did not work.", true); throw new Error("refused"); }
  say(said.said);
  return said;
}
async function correct(kind, content = {}) {
  await send("/correction", { kind, result: data.result, data: content });
  note(kind);
}
function note(kind) {
  find("history").querySelector(":scope > li.faint")?.remove();
  const line = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = kind;
  line.append(name, " just now");
  find("history").prepend(line);
}

const viewer = readable ? new Viewer(data) : null;
const boxes = viewer && new Boxes(viewer, data.boxes, kinds());
const brush = viewer && new Brush(viewer, data);
let mode = "look";

function kinds() {
  const names = [...data.boxes.map((one) => one.name), ...data.findings.filter((f) => !f.where.tooth).map((f) => f.name)];
  return [...new Set(names.length ? names : ["finding"])];
}
function setMode(next) {
  if (!viewer || (next !== "look" && (!data.may || !data.result))) return;
  mode = next;
  viewer.leavePlanes();
  for (const button of document.querySelectorAll("[data-do]")) {
    if (["look", "boxes", "brush"].includes(button.dataset.do)) button.setAttribute("aria-pressed", button.dataset.do === mode);
  }
  find("drawing").hidden = mode === "look";
  find("sizes").hidden = mode !== "brush";
  document.querySelector('[data-do="erase"]').hidden = mode !== "brush";
  find("view").classList.toggle("boxing", mode === "boxes");
  const names = mode === "brush" ? Object.keys(data.structures) : kinds();
  find("structure").replaceChildren(...names.map((name) => new Option(name.replaceAll("_", " "), name)));
  boxes.active = mode === "boxes";
  brush.setActive(mode === "brush");
  viewer.editor = mode === "boxes" ? boxes : mode === "brush" ? brush : null;
  viewer.drawMarks();
  changed();
}
function changed() {
  const open = mode === "boxes" ? boxes.dirty : mode === "brush" ? brush.dirty : false;
  document.querySelector('[data-do="save"]').disabled = !open;
}
async function save() {
  try {
    if (mode === "boxes" && boxes.dirty) {
      await correct("box", { boxes: boxes.all() });
      boxes.dirty = false;
    } else if (mode === "brush" && brush.dirty) {
      await send("/mask", { result: data.result, planes: await brush.changedPlanes() });
      note("mask");
      brush.saved();
      viewer.forgetOutlines();
    }
    changed();
  } catch { /* said already; what was drawn stays */ }
}

const actions = {
  look: () => setMode("look"),
  boxes: () => setMode("boxes"),
  brush: () => setMode("brush"),
  save,
  undo: () => { (mode === "boxes" ? boxes : brush).undo(); viewer.drawMarks(); changed(); },
  erase: (button) => { brush.erasing = !brush.erasing; button.setAttribute("aria-pressed", brush.erasing); },
  overlay: (button) => button.setAttribute("aria-pressed", viewer.toggleOverlays()),
  heat: () => toggleMade(),
  planes: () => viewer.togglePlanes(),
  agree: async () => { if (data.may && data.result) await correct("agree").catch(() => {}); },
  help,
};
function toggleMade() {
  const made = find("made");
  if (made.hidden && !made.src) {
    made.onerror = () => { made.onerror = null; made.src = `${base}/result/${data.result}/made/picture`; };
    made.src = `${base}/result/${data.result}/made/heat_picture`;
  }
  made.hidden = !made.hidden;
}
for (const button of document.querySelectorAll("[data-do]")) button.onclick = () => { actions[button.dataset.do]?.(button); if (button.dataset.do !== "help") find("view").focus(); };
for (const button of document.querySelectorAll("[data-label]")) {
  button.onclick = async () => {
    await correct("label", { labels: { [button.dataset.label]: JSON.parse(button.dataset.value) } }).catch(() => {});
    button.parentElement.querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", one === button));
  };
}
for (const button of document.querySelectorAll("[data-slice]")) button.onclick = () => viewer?.goTo(Number(button.dataset.slice));
find("comment").onsubmit = async (event) => {
  event.preventDefault();
  const field = event.target.elements.text;
  if (!field.value.trim()) return;
  await correct("comment", { text: field.value }).then(() => { field.value = ""; field.blur(); }, () => {});
};
find("size").oninput = (event) => (brush.size = Number(event.target.value));
find("structure").onchange = () => find("view").focus();
window.addEventListener("beforeunload", (event) => { if (boxes?.dirty || brush?.dirty) event.preventDefault(); });

// The dental chart: a button a place; a click shows the tooth on the film.
if (data.chart) {
  const teeth = new Map(data.chart.teeth.map((one) => [one.number, one]));
  const rows = [["18","17","16","15","14","13","12","11","21","22","23","24","25","26","27","28"], ["48","47","46","45","44","43","42","41","31","32","33","34","35","36","37","38"]];
  const from = document.querySelector('#tooth [name="from"]');
  const extra = data.chart.teeth.map((one) => one.number).filter((one) => /^[5-8]/.test(one));
  for (const number of [...rows.flat(), ...extra]) {
    const tooth = teeth.get(number) || { status: "unknown", conditions: {} };
    const button = document.createElement("button");
    const marks = Object.keys(tooth.conditions || {});
    button.type = "button";
    button.textContent = number;
    button.className = [tooth.status, ...marks].join(" ");
    button.setAttribute("aria-label", `Tooth ${number}: ${[tooth.status, ...marks].join(", ").replaceAll("_", " ")}`);
    button.title = button.getAttribute("aria-label");
    button.onclick = () => {
      document.querySelector(".chart .chosen")?.classList.remove("chosen");
      button.classList.add("chosen");
      if (from && tooth.box) from.value = number;
      if (viewer) { viewer.chosenTooth = number; viewer.drawMarks(); }
    };
    find("chart").append(button);
    if (from && tooth.box) from.append(new Option(number));
  }
  const form = find("tooth");
  if (form) form.onsubmit = async (event) => {
    event.preventDefault();
    const { from: old, to } = form.elements;
    if (old.value) await correct("tooth", { from: old.value, to: to.value || null }).catch(() => {});
  };
}

if (viewer) { viewer.onChange = changed; viewer.structureName = () => find("structure").value; viewer.start(); }
else if (data.image) { find("trouble").hidden = false; find("trouble").textContent = data.image.unreadable; }

const keys = {
  a: actions.agree, o: () => actions.overlay(document.querySelector('[data-do="overlay"]')), h: () => data.result && toggleMade(),
  b: () => setMode(mode === "boxes" ? "look" : "boxes"), m: () => setMode(mode === "brush" ? "look" : "brush"),
  e: () => mode === "brush" && actions.erase(document.querySelector('[data-do="erase"]')),
  s: save, z: () => mode !== "look" && actions.undo(), t: () => viewer?.togglePlanes(), "?": help, Escape: () => setMode("look"),
  ",": () => brush?.resize(-2), ".": () => brush?.resize(2),
  "+": () => viewer?.zoom(1.25), "=": () => viewer?.zoom(1.25), "-": () => viewer?.zoom(0.8), 0: () => viewer?.fit(),
  ArrowUp: () => viewer?.step(1), ArrowDown: () => viewer?.step(-1), PageUp: () => viewer?.step(5), PageDown: () => viewer?.step(-5),
  "[": () => viewer?.toMarked(-1), "]": () => viewer?.toMarked(1),
  Delete: () => { boxes?.remove(); changed(); }, Backspace: () => { boxes?.remove(); changed(); },
  n: () => find("next").click(), w: () => (location.href = "/"),
  c: () => document.querySelector("#comment textarea").focus(),
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing(event)) return event.target.blur();
  if (typing(event) || find("help").open) return;
  if (/^[1-9]$/.test(event.key)) viewer?.preset(Number(event.key) - 1);
  else if (keys[event.key]) keys[event.key]();
  else return;
  event.preventDefault();
});
