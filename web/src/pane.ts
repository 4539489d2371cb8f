// One slice: a canvas that can be pointed at, dragged, zoomed and stepped through.

import type { Atlas, Triplet } from "./model";
import { type Edges, edgesOf } from "./edges";
import { type Plane, placeOf, voxelOf } from "./geometry";
import { Ink, paint } from "./paint";
import type { Store } from "./state";
import type { Labels, Planes } from "./wire";

export interface Seen {
  voxel: Triplet;
  code: number;
  /** Id of a label that the terminology lacks. */
  unlisted: number | null;
  side: string;
}

interface Shown {
  index: number;
  reference: number;
  labels: Labels;
  grey: Uint8Array;
  sides: Labels | null;
}

export interface PaneEvents {
  hover(seen: Seen | null, x: number, y: number): void;
  choose(seen: Seen): void;
  painted(pane: Pane): void;
  /** The crosshair was moved by keys: those who do not see it want to be told. */
  moved(): void;
  failed(error: unknown): void;
}

const POINT_REACH = 2; // slices on either side whose points are drawn
const MOVED = 4; // pixels; less is a click
const CRISP = 1.8; // pixels of a voxel from which on outlines are lines

export class Pane {
  readonly picture = document.createElement("canvas");
  shown: Shown | null = null;
  points: Float32Array = new Float32Array();
  private readonly pen: CanvasRenderingContext2D;
  private readonly image: ImageData;
  private readonly screen: CanvasRenderingContext2D;
  private readonly slider: HTMLInputElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly place: HTMLElement;
  private zoom = 1;
  private centre: [number, number] = [0, 0]; // row and column at the middle of the canvas
  private busy = false;
  private direction = 1;
  private queued = 0;
  private near: number[] = [];
  private nearAt = -1;

  constructor(
    readonly view: Plane,
    private readonly atlas: Atlas,
    private readonly planes: Planes,
    private readonly store: Store,
    private readonly events: PaneEvents,
    readonly root: HTMLElement,
  ) {
    this.canvas = root.querySelector("canvas")!;
    this.slider = root.querySelector("input")!;
    this.place = root.querySelector(".place")!;
    this.picture.width = atlas.shape[view.columns];
    this.picture.height = atlas.shape[view.rows];
    this.pen = this.picture.getContext("2d")!;
    this.image = this.pen.createImageData(this.picture.width, this.picture.height);
    this.screen = this.canvas.getContext("2d")!;
    this.slider.max = String(atlas.shape[view.axis] - 1);
    this.centre = [this.picture.height / 2, this.picture.width / 2];
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  get index(): number {
    return this.store.state.voxel[this.view.axis];
  }

  /** Fetch what is to be shown and paint it; of many calls in a row only the last counts. */
  async refresh(): Promise<void> {
    this.caption();
    if (this.busy) return;
    if (this.shown?.index === this.index && this.shown.reference === this.store.state.reference) {
      this.draw(); // only the crosshair moved
      return;
    }
    this.busy = true;
    try {
      for (;;) {
        const { index } = this;
        const { reference } = this.store.state;
        const current = this.shown;
        if (current?.index !== index || current.reference !== reference) {
          const { axis } = this.view;
          const [labels, grey, sides] = await Promise.all([
            this.planes.labels(axis, index),
            this.planes.grey(reference, axis, index),
            this.atlas.about.sides_stored ? this.planes.sides(axis, index) : null,
          ]);
          this.direction = current && index < current.index ? -1 : 1;
          this.stepped = current !== null && Math.abs(index - current.index) <= 3;
          this.shown = { index, reference, labels, grey, sides };
        }
        this.repaint();
        if (this.index === index && this.store.state.reference === reference) break;
      }
      this.prefetch();
    } catch (error) {
      this.events.failed(error);
    } finally {
      this.busy = false;
    }
  }

  private ink: Ink | null = null;

  recolour(ink: Ink): void {
    this.ink = ink;
    this.repaint();
  }

  private edges: Edges | null = null;
  private crisp = false;

  private repaint(): void {
    if (!this.shown || !this.ink) return;
    this.edges = null;
    this.paintPicture(this.shown, this.ink);
    this.draw();
    this.root.dataset.index = String(this.shown.index);
    this.events.painted(this);
    this.hoverAgain();
  }

  /** Whether to fetch neighbours ahead; at the beginning there is better to do. */
  ahead = false;

  private paintPicture({ labels, grey }: Shown, ink: Ink): void {
    this.crisp = this.scale()[1] >= CRISP;
    const outlines = this.store.state.outlines && !this.crisp;
    paint(this.image, this.view, this.atlas.shape, labels.codes, grey, ink, outlines);
    this.pen.putImageData(this.image, 0, 0);
  }

  private drawEdges(left: number, top: number, tall: number, wide: number): void {
    if (!this.crisp || !this.shown || !this.ink || !this.store.state.outlines) return;
    const { first, last } = this.ink;
    this.edges ??= edgesOf(this.view, this.atlas.shape, this.shown.labels.codes, first, last);
    const { screen } = this;
    const ratio = window.devicePixelRatio || 1;
    const onScreen = (path: Path2D) => {
      const moved = new Path2D();
      moved.addPath(path, new DOMMatrix([wide, 0, 0, tall, left, top]));
      return moved;
    };
    screen.lineCap = "square";
    screen.lineWidth = 1.1 * ratio;
    screen.strokeStyle = this.store.state.opacity > 0.3 ? "rgba(0, 0, 0, 0.62)" : "rgba(235, 245, 250, 0.8)";
    screen.stroke(onScreen(this.edges.all));
    screen.lineWidth = 2 * ratio;
    screen.strokeStyle = "#fff";
    screen.stroke(onScreen(this.edges.chosen));
  }

  private later = 0;
  private stepped = false;

  /** Fetch neighbours: at once while somebody steps, else when the slice rests, lest it delay a jump. */
  private prefetch(): void {
    window.clearTimeout(this.later);
    if (!this.ahead) return;
    const { direction } = this;
    if (this.stepped) this.fetch([direction, 2 * direction]);
    this.later = window.setTimeout(() => this.fetch([direction, 2 * direction, 3 * direction, -direction]), 250);
  }

  private fetch(steps: number[]): void {
    const { axis } = this.view;
    for (const step of steps) {
      const next = this.index + step;
      if (next < 0 || next >= this.atlas.shape[axis]) continue;
      this.planes.labels(axis, next, true).catch(() => undefined);
      this.planes.grey(this.store.state.reference, axis, next, true).catch(() => undefined);
      if (this.atlas.about.sides_stored) this.planes.sides(axis, next, true).catch(() => undefined);
    }
  }

  /** Draw the picture, crosshair and points; once a frame. */
  draw(): void {
    if (this.queued) return;
    this.queued = requestAnimationFrame(() => this.drawNow());
  }

  private resize(): void {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.drawNow();
  }

  /** Pixels of the canvas for a voxel along rows and columns. */
  private scale(): [number, number] {
    const { spacing } = this.atlas;
    const [tall, wide] = [spacing[this.view.rows], spacing[this.view.columns]];
    const margin = 0.96;
    const fit = Math.min(
      this.canvas.width / (this.picture.width * wide),
      this.canvas.height / (this.picture.height * tall),
    );
    return [fit * margin * this.zoom * tall, fit * margin * this.zoom * wide];
  }

  drawNow(): void {
    cancelAnimationFrame(this.queued);
    this.queued = 0;
    const { screen, canvas, picture } = this;
    const [tall, wide] = this.scale();
    const left = canvas.width / 2 - this.centre[1] * wide;
    const top = canvas.height / 2 - this.centre[0] * tall;
    screen.clearRect(0, 0, canvas.width, canvas.height);
    if (this.shown) {
      if (this.ink && this.crisp !== wide >= CRISP) this.paintPicture(this.shown, this.ink);
      screen.imageSmoothingEnabled = wide < CRISP;
      screen.imageSmoothingQuality = "medium";
      screen.drawImage(picture, left, top, picture.width * wide, picture.height * tall);
    }
    this.drawEdges(left, top, tall, wide);
    this.drawPoints(left, top, tall, wide);
    this.drawCrosshair(left, top, tall, wide);
    this.drawScaleBar(wide);
  }

  private drawCrosshair(left: number, top: number, tall: number, wide: number): void {
    const [row, column] = placeOf(this.view, this.atlas.shape, this.store.state.voxel);
    const x = Math.round(left + (column + 0.5) * wide) + 0.5;
    const y = Math.round(top + (row + 0.5) * tall) + 0.5;
    const { screen, canvas } = this;
    const gap = 9 * (window.devicePixelRatio || 1);
    screen.strokeStyle = "rgba(120, 200, 255, 0.75)";
    screen.lineWidth = Math.max(1, Math.round(window.devicePixelRatio || 1));
    screen.beginPath();
    for (const [from, to] of [[0, x - gap], [x + gap, canvas.width]]) {
      screen.moveTo(from, y);
      screen.lineTo(to, y);
    }
    for (const [from, to] of [[0, y - gap], [y + gap, canvas.height]]) {
      screen.moveTo(x, from);
      screen.lineTo(x, to);
    }
    screen.stroke();
  }

  private drawScaleBar(wide: number): void {
    const ratio = window.devicePixelRatio || 1;
    const perPixel = this.atlas.spacing[this.view.columns] / wide;
    const wanted = perPixel * 90 * ratio;
    const power = 10 ** Math.floor(Math.log10(wanted));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= wanted) ?? power;
    const { screen, canvas } = this;
    const [x, y] = [canvas.width - 12 * ratio, canvas.height - 12 * ratio];
    screen.strokeStyle = screen.fillStyle = "rgba(255, 255, 255, 0.85)";
    screen.lineWidth = 2 * ratio;
    screen.beginPath();
    screen.moveTo(x - length / perPixel, y);
    screen.lineTo(x, y);
    screen.stroke();
    screen.font = `${11 * ratio}px system-ui, sans-serif`;
    screen.textAlign = "right";
    screen.fillText(length >= 1000 ? `${length / 1000} mm` : `${length} µm`, x, y - 5 * ratio);
  }

  setPoints(points: Float32Array): void {
    this.points = points;
    this.nearAt = -1;
    this.draw();
  }

  private drawPoints(left: number, top: number, tall: number, wide: number): void {
    const { points, view, atlas, screen } = this;
    if (!points.length || !this.shown) return;
    if (this.nearAt !== this.shown.index) {
      const middle = (this.shown.index + 0.5) * atlas.spacing[view.axis];
      const reach = Math.max(POINT_REACH * atlas.spacing[view.axis], 50);
      this.near = [];
      for (let at = 0; at < points.length; at += 3) {
        if (Math.abs(points[at + view.axis] - middle) <= reach) this.near.push(at);
      }
      this.nearAt = this.shown.index;
    }
    const size = Math.max(2, Math.min(6, wide * 1.2)) * (window.devicePixelRatio || 1) * 0.5;
    screen.fillStyle = "rgba(255, 236, 90, 0.95)";
    screen.strokeStyle = "rgba(0, 0, 0, 0.55)";
    screen.lineWidth = 0.75;
    screen.beginPath();
    for (const at of this.near) {
      const voxel = [0, 1, 2].map((axis) => points[at + axis] / atlas.spacing[axis] - 0.5) as Triplet;
      const [row, column] = placeOf(view, atlas.shape, voxel);
      const [x, y] = [left + (column + 0.5) * wide, top + (row + 0.5) * tall];
      screen.moveTo(x + size, y);
      screen.arc(x, y, size, 0, 7);
    }
    screen.fill();
    if (this.near.length < 3000) screen.stroke();
  }

  private pointer: [number, number] | null = null;

  /** Say what lies under the pointer: it may rest while the slice changes. */
  hoverAgain(): boolean {
    if (!this.pointer) return false;
    this.events.hover(this.seenAt(...this.pointer), ...this.pointer);
    return true;
  }

  /** Somebody uses keys: whether a pointer had rested here. */
  forgetPointer(): boolean {
    const rested = this.pointer !== null;
    this.pointer = null;
    return rested;
  }

  /** What lies under a place of the page; from what is already here, nothing is asked. */
  seenAt(clientX: number, clientY: number): Seen | null {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const [tall, wide] = this.scale();
    const column = Math.floor(((clientX - box.left) * ratio - this.canvas.width / 2) / wide + this.centre[1]);
    const row = Math.floor(((clientY - box.top) * ratio - this.canvas.height / 2) / tall + this.centre[0]);
    if (row < 0 || column < 0 || row >= this.picture.height || column >= this.picture.width) return null;
    return this.seen(row, column);
  }

  /** What lies at the crosshair. */
  seenHere(): Seen | null {
    const [row, column] = placeOf(this.view, this.atlas.shape, this.store.state.voxel);
    return this.seen(row, column);
  }

  /** What lies at a voxel of the slice that is shown. */
  seenVoxel(voxel: Triplet): Seen | null {
    const [row, column] = placeOf(this.view, this.atlas.shape, voxel);
    return this.seen(row, column);
  }

  private seen(row: number, column: number): Seen | null {
    if (!this.shown) return null;
    const { view, atlas, shown } = this;
    const voxel = voxelOf(view, atlas.shape, shown.index, row, column);
    const at =
      view.rows < view.columns
        ? voxel[view.rows] * atlas.shape[view.columns] + voxel[view.columns]
        : voxel[view.columns] * atlas.shape[view.rows] + voxel[view.rows];
    const code = shown.labels.codes[at];
    const side = shown.sides ? (["", "left", "right"][shown.sides.codes[at]] ?? "") : atlas.side(voxel);
    const unlisted = code >= atlas.count ? shown.labels.extra[code - atlas.count] : null;
    return { voxel, code, unlisted, side };
  }

  /** Where a voxel stands on the page, for those who test. */
  pageOf(voxel: Triplet): [number, number] {
    const [row, column] = placeOf(this.view, this.atlas.shape, voxel);
    const [tall, wide] = this.scale();
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const x = (this.canvas.width / 2 + (column + 0.5 - this.centre[1]) * wide) / ratio;
    const y = (this.canvas.height / 2 + (row + 0.5 - this.centre[0]) * tall) / ratio;
    return [box.left + x, box.top + y];
  }

  private caption(): void {
    const { index, view, atlas } = this;
    this.slider.value = String(index);
    const place = (((index + 0.5) * atlas.spacing[view.axis]) / 1000).toFixed(2);
    this.place.textContent = `${index} · ${place} mm`;
    const text = `${view.title} slice ${index} of ${atlas.shape[view.axis] - 1}, ${place} mm`;
    this.slider.setAttribute("aria-valuetext", text);
  }

  private step(axis: number, by: number): void {
    const voxel = [...this.store.state.voxel] as Triplet;
    voxel[axis] = Math.min(Math.max(voxel[axis] + by, 0), this.atlas.shape[axis] - 1);
    this.store.set({ voxel });
  }

  private zoomBy(factor: number, clientX?: number, clientY?: number): void {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), 40);
    if (zoom === 1) {
      this.centre = [this.picture.height / 2, this.picture.width / 2];
    } else {
      const box = this.canvas.getBoundingClientRect();
      const ratio = this.canvas.width / box.width;
      let [x, y] = [0, 0]; // from the middle, in pixels of the canvas
      if (clientX !== undefined && clientY !== undefined) {
        x = (clientX - box.left) * ratio - this.canvas.width / 2;
        y = (clientY - box.top) * ratio - this.canvas.height / 2;
      } else {
        const [row, column] = placeOf(this.view, this.atlas.shape, this.store.state.voxel);
        this.centre = [row + 0.5, column + 0.5];
      }
      const [tall, wide] = this.scale();
      const change = zoom / this.zoom;
      this.centre = [
        this.centre[0] + (y / tall) * (1 - 1 / change),
        this.centre[1] + (x / wide) * (1 - 1 / change),
      ];
    }
    this.zoom = zoom;
    this.draw();
  }

  private pan(x: number, y: number): void {
    const ratio = window.devicePixelRatio || 1;
    const [tall, wide] = this.scale();
    this.centre = [
      Math.min(Math.max(this.centre[0] - (y * ratio) / tall, 0), this.picture.height),
      Math.min(Math.max(this.centre[1] - (x * ratio) / wide, 0), this.picture.width),
    ];
    this.draw();
  }

  private listen(): void {
    const { canvas, view } = this;
    this.slider.addEventListener("input", () => {
      this.step(view.axis, Number(this.slider.value) - this.index);
    });
    this.slider.addEventListener("keydown", (event) => {
      const by = { PageUp: 10, PageDown: -10 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      this.step(view.axis, by);
    });
    let wheel = 0;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) {
          this.zoomBy(Math.exp(-event.deltaY * 0.01), event.clientX, event.clientY);
          return;
        }
        // A notch of a mouse is one slice; a touchpad's many small steps add up to it.
        wheel += event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY;
        const by = Math.trunc(wheel);
        wheel -= by;
        if (by) this.step(view.axis, Math.sign(by) * Math.min(Math.abs(by), 3) * (event.shiftKey ? 5 : 1));
      },
      { passive: false },
    );
    this.listenToPointers();
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("dblclick", () => this.zoomBy(0));
  }

  private listenToPointers(): void {
    const { canvas } = this;
    const down = new Map<number, [number, number]>();
    let travelled = 0;
    let spread = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, [event.clientX, event.clientY]);
      if (down.size === 1) travelled = 0;
      spread = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = down.get(event.pointerId);
      if (!last) {
        this.pointer = [event.clientX, event.clientY];
        this.hoverAgain();
        return;
      }
      const [x, y] = [event.clientX - last[0], event.clientY - last[1]];
      down.set(event.pointerId, [event.clientX, event.clientY]);
      travelled += Math.hypot(x, y);
      if (down.size === 2) {
        const [one, other] = [...down.values()];
        const distance = Math.hypot(one[0] - other[0], one[1] - other[1]);
        if (spread) this.zoomBy(distance / spread, (one[0] + other[0]) / 2, (one[1] + other[1]) / 2);
        spread = distance;
      } else if (travelled > MOVED) {
        this.pan(x, y);
      }
    });
    const up = (event: PointerEvent) => {
      if (!down.delete(event.pointerId) || down.size || travelled > MOVED) return;
      if (event.type !== "pointerup" || event.button !== 0) return;
      const seen = this.seenAt(event.clientX, event.clientY);
      if (seen) this.events.choose(seen);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.events.hover(null, 0, 0);
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1;
    const { view } = this;
    const down = view.flipRows ? -by : by;
    const right = view.flipColumns ? -by : by;
    const moves: Record<string, () => void> = {
      ArrowUp: () => this.step(view.rows, -down),
      ArrowDown: () => this.step(view.rows, down),
      ArrowLeft: () => this.step(view.columns, -right),
      ArrowRight: () => this.step(view.columns, right),
      PageUp: () => this.step(view.axis, -by),
      PageDown: () => this.step(view.axis, by),
      Home: () => this.step(view.axis, -Infinity),
      End: () => this.step(view.axis, Infinity),
      "+": () => this.zoomBy(1.25),
      "=": () => this.zoomBy(1.25),
      "-": () => this.zoomBy(0.8),
      "0": () => this.zoomBy(0),
      Enter: () => {
        const seen = this.seenHere();
        if (seen) this.events.choose(seen);
      },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
    if (event.key !== "Enter") this.events.moved();
  }
}

