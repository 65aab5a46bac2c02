// A brush on the mask: a label a pixel of each plane, kept until it is saved.
import { COLOURS } from "./viewer.js";

const MOST_UNDO = 20;

export class Brush {
  constructor(viewer, data) {
    this.viewer = viewer;
    this.data = data;
    this.size = 8;
    this.erasing = false;
    this.hidesOutlines = false;
    this.planes = new Map(); // plane -> labels, Uint8Array
    this.changed = new Set();
    this.past = [];
    this.canvas = document.getElementById("ink");
  }

  get dirty() { return this.changed.size > 0; }

  setActive(active) {
    this.active = active;
    this.hidesOutlines = active;
    this.canvas.width = active ? this.viewer.image.columns : 1;
    this.canvas.height = active ? this.viewer.image.rows : 1;
    if (active) this.moved();
  }

  async moved() {
    if (!this.active) return;
    const plane = this.viewer.plane;
    if (!this.planes.has(plane)) {
      const { rows, columns } = this.viewer.image;
      const answer = await fetch(`${this.viewer.base}/result/${this.data.result}/labels/${plane}.png`);
      if (!answer.ok) return;
      const bitmap = await createImageBitmap(await answer.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
      const scratch = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
      scratch.drawImage(bitmap, 0, 0);
      const pixels = scratch.getImageData(0, 0, columns, rows).data, labels = new Uint8Array(rows * columns);
      for (let k = 0; k < labels.length; k++) labels[k] = pixels[4 * k];
      this.planes.set(plane, labels);
    }
    if (plane === this.viewer.plane) this.paint();
    this.canvas.dataset.ready = plane;
  }

  paint() {
    const labels = this.planes.get(this.viewer.plane);
    if (!labels) return;
    const ink = this.canvas.getContext("2d"), picture = ink.createImageData(this.canvas.width, this.canvas.height);
    const rgb = COLOURS.map((c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16)));
    for (let k = 0; k < labels.length; k++) {
      if (!labels[k]) continue;
      const [r, g, b] = rgb[(labels[k] - 1) % rgb.length];
      picture.data.set([r, g, b, 255], 4 * k);
    }
    ink.putImageData(picture, 0, 0);
  }

  resize(by) {
    this.size = Math.max(1, Math.min(60, this.size + by));
    document.getElementById("size").value = this.size;
  }

  down(at) {
    const labels = this.planes.get(this.viewer.plane);
    if (!labels) return;
    this.past.push({ plane: this.viewer.plane, labels: labels.slice() });
    if (this.past.length > MOST_UNDO) this.past.shift();
    this.last = at;
    this.stroke(at);
  }

  move(at) { if (this.last) this.stroke(at); }
  up() { this.last = null; }

  stroke([x, y]) {
    const labels = this.planes.get(this.viewer.plane);
    const { rows, columns } = this.viewer.image;
    const value = this.erasing ? 0 : this.data.structures[this.viewer.structureName()] || 0;
    const [lx, ly] = this.last, radius = this.size / 2, steps = Math.max(1, Math.ceil((2 * Math.hypot(x - lx, y - ly)) / this.size));
    for (let step = 0; step <= steps; step++) {
      const cx = lx + ((x - lx) * step) / steps, cy = ly + ((y - ly) * step) / steps;
      for (let r = Math.max(0, Math.floor(cy - radius)); r <= Math.min(rows - 1, Math.ceil(cy + radius)); r++)
        for (let c = Math.max(0, Math.floor(cx - radius)); c <= Math.min(columns - 1, Math.ceil(cx + radius)); c++)
          if (Math.hypot(c + 0.5 - cx, r + 0.5 - cy) <= Math.max(radius, 0.5)) labels[r * columns + c] = value;
    }
    this.last = [x, y];
    this.changed.add(this.viewer.plane);
    this.paint();
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.planes.set(before.plane, before.labels);
    if (before.plane !== this.viewer.plane) this.viewer.goTo(before.plane);
    this.paint();
  }

  saved() { this.changed.clear(); this.past = []; }

  // The planes that changed, each a PNG in base64 whose red is the label.
  async changedPlanes() {
    const { rows, columns } = this.viewer.image, planes = {};
    for (const plane of this.changed) {
      const canvas = new OffscreenCanvas(columns, rows), ink = canvas.getContext("2d"), picture = ink.createImageData(columns, rows);
      this.planes.get(plane).forEach((label, k) => picture.data.set([label, label, label, 255], 4 * k));
      ink.putImageData(picture, 0, 0);
      const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
      let text = "";
      for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
      planes[plane] = btoa(text);
    }
    return planes;
  }
}
