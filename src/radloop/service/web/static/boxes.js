// Boxes on a film: drag to draw, drag a box or its corner to change it, Delete removes it.
import { draw } from "./viewer.js";

const NEAR = 9; // px of the screen

export class Boxes {
  constructor(viewer, boxes) {
    this.viewer = viewer;
    this.boxes = boxes.map((one) => ({ name: one.name, box: [...one.box] }));
    this.chosen = -1;
    this.active = false;
    this.dirty = false;
    this.past = [];
    viewer.boxLayer = (unit) => this.render(unit);
  }

  all() { return this.boxes.map(({ name, box }) => ({ name, box: box.map((v) => Math.round(v * 10) / 10) })); }

  render(unit) {
    if (!this.viewer.overlays && !this.active) return;
    this.boxes.forEach(({ name, box: [x0, y0, x1, y1] }, k) => {
      const chosen = this.active && k === this.chosen;
      const colour = chosen ? "#ffffff" : "#ffb000";
      draw("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: chosen ? "#ffb00022" : "none", stroke: colour, "stroke-width": 2 * unit, class: "box" }, this.viewer.svg);
      this.viewer.label(x0, y0 - 4 * unit, name.replaceAll("_", " "), colour);
      if (chosen) for (const [x, y] of [[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) draw("rect", { x: x - 3 * unit, y: y - 3 * unit, width: 6 * unit, height: 6 * unit, fill: "#fff" }, this.viewer.svg);
    });
  }

  remember() { this.past.push(JSON.stringify(this.boxes)); }

  undo() {
    if (!this.past.length) return;
    this.boxes = JSON.parse(this.past.pop());
    this.chosen = -1;
    this.dirty = this.past.length > 0;
  }

  remove() {
    if (!this.active || this.chosen < 0) return;
    this.remember();
    this.boxes.splice(this.chosen, 1);
    this.chosen = -1;
    this.dirty = true;
    this.viewer.drawMarks();
  }

  down([x, y]) {
    const near = NEAR / this.viewer.view.scale;
    this.remember();
    this.drag = null;
    if (this.chosen >= 0) {
      const [x0, y0, x1, y1] = this.boxes[this.chosen].box;
      const corner = [[x0, y0, x1, y1], [x1, y0, x0, y1], [x0, y1, x1, y0], [x1, y1, x0, y0]].find(([cx, cy]) => Math.hypot(cx - x, cy - y) < near);
      if (corner) this.drag = { fixed: corner.slice(2) };
    }
    if (!this.drag) {
      const hit = this.boxes.findLastIndex(({ box: [x0, y0, x1, y1] }) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
      this.chosen = hit;
      this.drag = hit >= 0 ? { from: [x, y], box: [...this.boxes[hit].box] } : { fixed: [x, y], fresh: true };
    }
    this.viewer.drawMarks();
  }

  move([x, y]) {
    if (!this.drag) return;
    const { columns, rows } = this.viewer.image;
    if (this.drag.fixed) {
      const [fx, fy] = this.drag.fixed, within = (v, most) => Math.max(0, Math.min(most, v));
      if (this.drag.fresh) {
        if (Math.abs(x - fx) < 2 || Math.abs(y - fy) < 2) return;
        this.boxes.push({ name: this.viewer.structureName(), box: [fx, fy, x, y] });
        this.chosen = this.boxes.length - 1;
        this.drag.fresh = false;
      }
      const [px, py] = [within(x, columns), within(y, rows)], [qx, qy] = [within(fx, columns), within(fy, rows)];
      this.boxes[this.chosen].box = [Math.min(px, qx), Math.min(py, qy), Math.max(px, qx), Math.max(py, qy)];
    } else {
      const [x0, y0, x1, y1] = this.drag.box;
      const dx = Math.max(-x0, Math.min(columns - x1, x - this.drag.from[0])), dy = Math.max(-y0, Math.min(rows - y1, y - this.drag.from[1]));
      this.boxes[this.chosen].box = [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
    }
    this.viewer.drawMarks();
  }

  up() {
    this.boxes = this.boxes.filter(({ box: [x0, y0, x1, y1] }) => x1 - x0 > 1 && y1 - y0 > 1);
    if (this.chosen >= this.boxes.length) this.chosen = -1;
    if (this.past.at(-1) === JSON.stringify(this.boxes)) this.past.pop();
    this.dirty = this.past.length > 0;
    this.drag = null;
    this.viewer.drawMarks();
  }
}
