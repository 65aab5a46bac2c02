// Shows a film or the slices of a volume, windowed by the server, with marks in an SVG above.
const find = (id) => document.getElementById(id);
export const SVG = "http://www.w3.org/2000/svg";
// Okabe & Ito: told apart with any kind of colour blindness.
export const COLOURS = ["#f06e1e", "#56b4e9", "#f0e442", "#00be8c", "#e08dbb", "#e69f00"];
const AHEAD = 6;

export function draw(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

export class Viewer {
  constructor(data) {
    this.data = data;
    this.image = data.image;
    this.base = `/study/${data.study}`;
    this.window = { c: this.image.centre, w: this.image.width };
    this.presets = [["as stored", this.image.centre, this.image.width], ...this.image.windows];
    if (!this.image.volume) {
      const { centre: c, width: w } = this.image;
      this.presets.push(["darker", c + w / 8, w], ["brighter", c - w / 8, w], ["more contrast", c, w / 2]);
    }
    this.plane = 0;
    this.view = { x: 0, y: 0, scale: 1 };
    this.overlays = true;
    this.outlines = new Map();
    this.pictures = new Map();
    this.slices = [];
    this.editor = null;
    this.onChange = () => {};
    this.paper = find("paper");
    this.svg = find("marks");
    this.stage = find("view");
  }

  async start() {
    const { rows, columns, aspect, volume, planes } = this.image;
    this.height = rows * (aspect || 1);
    this.paper.style.width = `${columns}px`;
    this.paper.style.height = `${this.height}px`;
    this.svg.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    find("window").replaceChildren(...this.presets.map(([name], k) => new Option(`${k + 1} ${name}`, k)));
    find("window").onchange = (event) => { this.preset(Number(event.target.value)); this.stage.focus(); };
    this.pointer();
    new ResizeObserver(() => this.fit()).observe(this.stage);
    this.fit();
    if (volume) {
      find("strip").hidden = planes < 2;
      find("slice").max = planes - 1;
      find("slice").oninput = (event) => this.goTo(Number(event.target.value));
      this.plane = Math.floor(planes / 2);
      if (this.image.windows.length) this.preset(1, false);
      await this.findMarked();
    }
    this.goTo(this.plane);
  }

  async findMarked() {
    if (!this.data.result) return;
    const answer = await fetch(`${this.base}/result/${this.data.result}/slices`);
    if (answer.ok) this.slices = (await answer.json()).slices;
    const named = this.data.findings.find((f) => f.positive && "slice" in f.where);
    if (named) this.plane = named.where.slice;
    else if (this.slices.length) this.plane = this.slices.reduce((best, one, k, all) => (one.p > all[best].p ? k : best), 0);
    const strip = find("marked");
    strip.width = Math.max(1, this.slices.length);
    const ink = strip.getContext("2d");
    this.slices.forEach(({ p }, k) => { ink.fillStyle = `rgba(255,138,128,${p})`; ink.fillRect(k, 0, 1, 14); });
    strip.hidden = !this.slices.length;
  }

  address(plane) {
    const { c, w } = this.window;
    return `${this.base}/image/${this.image.key}/${plane}.png?c=${c.toFixed(2)}&w=${w.toFixed(2)}`;
  }

  fetchPicture(plane) {
    const address = this.address(plane);
    if (!this.pictures.has(address)) {
      const picture = new Image();
      picture.src = address;
      this.pictures.set(address, picture);
      if (this.pictures.size > 120) this.pictures.delete(this.pictures.keys().next().value);
    }
    return this.pictures.get(address);
  }

  goTo(plane) {
    this.plane = Math.max(0, Math.min(this.image.planes - 1, plane));
    find("slice").value = this.plane;
    this.show();
    this.editor?.moved?.();
    this.loadOutlines();
  }

  step(by) { if (this.image.volume) this.goTo(this.plane + by); }

  toMarked(way) {
    const marked = this.slices.map(({ p }, k) => [p, k]).filter(([p]) => p >= 0.5).map(([, k]) => k);
    const next = way > 0 ? marked.find((k) => k > this.plane) : marked.findLast((k) => k < this.plane);
    if (next !== undefined) this.goTo(next);
  }

  show() {
    const wanted = this.fetchPicture(this.plane);
    const put = () => { if (this.fetchPicture(this.plane) === wanted) find("picture").src = wanted.src; };
    wanted.complete ? put() : (wanted.onload = put);
    for (let k = 1; k <= AHEAD; k++) for (const at of [this.plane + k, this.plane - k]) if (at >= 0 && at < this.image.planes) this.fetchPicture(at);
    const { p, name } = this.slices[this.plane] || {};
    const likely = p >= 0.05 ? ` · ${name.replaceAll("_", " ")} ${p.toFixed(2)}` : "";
    find("place").textContent = this.image.volume ? `slice ${this.plane + 1} of ${this.image.planes}${likely}` : "";
    find("level").textContent = `centre ${Math.round(this.window.c)}  width ${Math.round(this.window.w)}`;
  }

  preset(number, show = true) {
    const chosen = this.presets[number];
    if (!chosen) return;
    this.window = { c: chosen[1], w: chosen[2] };
    find("window").value = number;
    if (show) this.show();
  }

  async loadOutlines() {
    const plane = this.plane;
    if (this.data.result && !this.outlines.has(plane)) {
      this.outlines.set(plane, null);
      const answer = await fetch(`${this.base}/result/${this.data.result}/outlines/${plane}`);
      this.outlines.set(plane, answer.ok ? await answer.json() : null);
    }
    if (plane === this.plane) this.drawMarks();
  }
  forgetOutlines() { this.outlines.clear(); this.loadOutlines(); }

  drawMarks() {
    this.svg.replaceChildren();
    const unit = 1 / this.view.scale;
    if (this.overlays) {
      const found = this.outlines.get(this.plane);
      if (!this.editor?.hidesOutlines) for (const { value, paths } of found?.outlines || []) {
        const lines = paths.map((p) => { let d = "M"; for (let k = 0; k < p.length; k += 2) d += `${p[k]} ${p[k + 1]}L`; return `${d.slice(0, -1)}Z`; });
        draw("path", { d: lines.join(""), fill: "none", stroke: COLOURS[(value - 1) % COLOURS.length], "stroke-width": 1.6 * unit, class: "outline" }, this.svg);
      }
      for (const line of found?.lines || []) {
        const [x1, y1] = line.from, [x2, y2] = line.to;
        draw("line", { x1, y1, x2, y2, stroke: line.guide ? "#ffffff66" : "#fff", "stroke-width": (line.guide ? 1 : 2) * unit, "stroke-dasharray": line.guide ? `${4 * unit} ${4 * unit}` : "none" }, this.svg);
        if (!line.guide) this.label((x1 + x2) / 2, y1 - 5 * unit, line.name, "#fff", "middle");
      }
      this.drawTeeth(unit);
    }
    this.boxLayer?.(unit);
  }

  drawTeeth(unit) {
    for (const tooth of this.data.chart?.teeth || []) {
      if (!tooth.box) continue;
      const [x0, y0, x1, y1] = tooth.box, chosen = tooth.number === this.chosenTooth, upper = /^[1256]/.test(tooth.number);
      const colour = chosen ? "#ffb000" : "#e8dfc9";
      draw("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none", stroke: colour, "stroke-width": (chosen ? 2.5 : 1) * unit }, this.svg);
      this.label((x0 + x1) / 2, upper ? y0 - 4 * unit : y1 + 14 * unit, tooth.number, colour, "middle");
    }
  }

  label(x, y, text, colour, anchor = "start") {
    const size = 13 / this.view.scale;
    const element = draw("text", { x, y, fill: colour, "font-size": size, "text-anchor": anchor, stroke: "#000", "stroke-width": size / 5, "paint-order": "stroke" }, this.svg);
    element.textContent = text;
  }

  toggleOverlays() {
    this.overlays = !this.overlays;
    find("ink").hidden = !this.overlays;
    this.drawMarks();
    return this.overlays;
  }

  fit() {
    const { clientWidth, clientHeight } = this.stage;
    const scale = Math.min(clientWidth / this.image.columns, clientHeight / this.height) || 1;
    this.view = { scale, x: (clientWidth - this.image.columns * scale) / 2, y: (clientHeight - this.height * scale) / 2 };
    this.place();
  }

  zoom(by, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const scale = Math.max(0.05, Math.min(40, this.view.scale * by)), ratio = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * ratio, y: y - (y - this.view.y) * ratio };
    this.place();
  }

  place() {
    const { x, y, scale } = this.view;
    this.paper.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.drawMarks();
  }

  // Pixels of the image, edges at whole numbers, under the pointer.
  at(event) {
    const stage = this.stage.getBoundingClientRect();
    return [(event.clientX - stage.left - this.view.x) / this.view.scale, ((event.clientY - stage.top - this.view.y) / this.view.scale) * (this.image.rows / this.height)];
  }

  pointer() {
    let drag = null, timer = 0;
    this.stage.addEventListener("pointerdown", (event) => {
      if (this.niivue || event.target.closest("button")) return;
      this.stage.focus();
      this.stage.setPointerCapture(event.pointerId);
      const pan = event.button === 1 || event.shiftKey;
      drag = { x: event.clientX, y: event.clientY, view: { ...this.view }, window: { ...this.window }, pan };
      if (this.editor && event.button === 0 && !pan) { drag.edit = true; this.editor.down(this.at(event), event); }
      event.preventDefault();
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
      if (drag.edit) return this.editor?.move(this.at(event), event);
      if (drag.pan || (this.view.scale > this.fitScale() * 1.01 && !event.ctrlKey && event.buttons === 1)) {
        this.view = { ...drag.view, x: drag.view.x + dx, y: drag.view.y + dy };
        return this.place();
      }
      const step = this.image.width / 500;
      this.window = { c: drag.window.c + dy * step, w: Math.max(this.image.width / 1000, drag.window.w + dx * step) };
      clearTimeout(timer);
      timer = setTimeout(() => this.show(), 40);
    });
    const up = (event) => { if (drag?.edit) { this.editor?.up(this.at(event), event); this.onChange(); } drag = null; };
    this.stage.addEventListener("pointerup", up);
    this.stage.addEventListener("pointercancel", up);
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    this.stage.addEventListener("wheel", (event) => {
      if (this.niivue) return;
      event.preventDefault();
      if (this.image.volume && !event.ctrlKey) return this.step(event.deltaY > 0 ? -1 : 1);
      const stage = this.stage.getBoundingClientRect();
      this.zoom(event.deltaY > 0 ? 0.87 : 1.15, event.clientX - stage.left, event.clientY - stage.top);
    }, { passive: false });
  }
  fitScale() { return Math.min(this.stage.clientWidth / this.image.columns, this.stage.clientHeight / this.height); }

  leavePlanes() { if (this.niivue) this.togglePlanes(); }

  async togglePlanes() {
    if (!this.image.volume) return;
    const canvas = find("gl");
    if (this.niivue) {
      canvas.hidden = true;
      this.paper.hidden = false;
      this.niivue = null;
      return;
    }
    const { Niivue, SLICE_TYPE } = await import("./vendor/niivue.js");
    canvas.hidden = false;
    this.paper.hidden = true;
    const [series] = this.image.key.split("/");
    const { c, w } = this.window;
    this.niivue = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: true, loadingText: "loading" });
    await this.niivue.attachToCanvas(canvas);
    const volumes = [{ url: `${this.base}/volume/${series}/volume.nii.gz`, cal_min: c - w / 2, cal_max: c + w / 2 }];
    if (this.data.result) volumes.push({ url: `${this.base}/result/${this.data.result}/mask.nii.gz`, colormap: "warm", opacity: 0.5, cal_min: 0.5, cal_max: 6 });
    await this.niivue.loadVolumes(volumes);
    this.niivue.setSliceType(SLICE_TYPE.MULTIPLANAR);
    document.body.dataset.planes = "ready";
  }
}
