// The card of the selected region: its place in the tree, volume, counts.

import type { Atlas, Regions } from "./model";
import type { Palette } from "./palette";
import type { Store } from "./state";
import type { Counts, Values } from "./wire";

export interface DetailEvents {
  choose(code: number): void;
  pin(code: number): void;
  /** Read the dropped file again, its points being in this unit. */
  reread(unit: string): void;
}

const UNITS = ["um", "mm", "voxel"];

function number(value: number): string {
  if (value === 0) return "0";
  return value >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4));
}

export class Details {
  regions: Regions | null = null;
  counts: Counts | null = null;
  values: Values | null = null;
  /** Whether the points came from a file that can be read again. */
  canReread = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly atlas: Atlas,
    private readonly store: Store,
    private readonly palette: Palette,
    private readonly events: DetailEvents,
  ) {}

  draw(): void {
    const { selected } = this.store.state;
    this.root.replaceChildren(...(selected ? this.card(selected) : this.summary()));
  }

  private summary(): HTMLElement[] {
    const parts: HTMLElement[] = [];
    if (this.counts) parts.push(...this.overlaySummary(this.counts));
    if (this.values) {
      const { name, column, rows, unknown, unknown_count } = this.values;
      let text = `${name}: ${column} of ${rows.length} regions.`;
      if (unknown_count) text += ` ${unknown_count} rows name no region of this atlas: ${unknown.join(", ")}.`;
      parts.push(this.text(text));
    }
    const hint = this.text("Click a region in a slice, the 3-D view or the tree.");
    hint.className = "hint";
    return [...parts, hint];
  }

  private overlaySummary(counts: Counts): HTMLElement[] {
    const { name, count, outside, beyond } = counts;
    const inside = count - outside;
    let text = `${name}: ${count.toLocaleString("en")} points, ${inside.toLocaleString("en")} in regions`;
    text += outside ? `, ${outside.toLocaleString("en")} outside.` : ".";
    const parts = [this.text(text)];
    if (this.canReread) parts.push(this.unitChoice(counts.unit));
    if (beyond > count / 2) {
      const warning = this.text("Most points lie beyond the volume: is the unit right, and are they in the atlas's space?");
      warning.className = "warning";
      parts.push(warning);
    }
    return parts;
  }

  private unitChoice(unit: string): HTMLElement {
    const label = document.createElement("label");
    label.className = "tool";
    const choice = document.createElement("select");
    choice.append(...UNITS.map((one) => new Option(one === "um" ? "µm" : one, one)));
    choice.value = unit;
    choice.addEventListener("change", () => this.events.reread(choice.value));
    label.append("Unit of the points", choice);
    return label;
  }

  private text(text: string): HTMLElement {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }

  private card(code: number): HTMLElement[] {
    const { atlas } = this;
    const title = document.createElement("h2");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${this.palette.colour(code, this.store.state.colouring).join(" ")})`;
    const short = document.createElement("b");
    short.textContent = atlas.acronym(code);
    const id = document.createElement("span");
    id.className = "id";
    id.textContent = `id ${atlas.id(code)}`;
    title.append(swatch, short, id);
    const name = this.text(atlas.name(code));
    name.className = "long";
    return [title, name, this.path(code), this.table(code), this.buttons(code)];
  }

  private path(code: number): HTMLElement {
    const line = document.createElement("p");
    line.className = "path";
    const above = this.atlas.path(code).slice(0, -1);
    above.forEach((one, at) => {
      const link = document.createElement("button");
      link.className = "link";
      link.textContent = this.atlas.acronym(one);
      link.title = this.atlas.name(one);
      link.addEventListener("click", () => this.events.choose(one));
      line.append(link, at + 1 < above.length ? " › " : "");
    });
    return line;
  }

  private table(code: number): HTMLElement {
    const list = document.createElement("dl");
    const add = (term: string, value: string, key: string) => {
      const [name, text] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = term;
      text.textContent = value;
      text.dataset.key = key;
      list.append(name, text);
    };
    const { regions, counts, values } = this;
    if (regions) {
      add("Volume", `${number(regions.volume_mm3[code])} mm³`, "volume");
      const sides = `${number(regions.left_mm3[code])} · ${number(regions.right_mm3[code])} mm³`;
      add("left · right", sides, "sides");
    } else {
      add("Volume", "measuring…", "volume");
    }
    if (counts) {
      const row = counts.rows.find(([one]) => one === code) ?? [code, 0, 0, 0, 0];
      const [, own, total, left, right] = row;
      add("Points", `${total.toLocaleString("en")}${own !== total ? ` (own ${own.toLocaleString("en")})` : ""}`, "total");
      add("left · right", `${left.toLocaleString("en")} · ${right.toLocaleString("en")}`, "count-sides");
      const volume = regions?.volume_mm3[code];
      if (volume) add("per mm³", number(total / volume), "density");
    }
    if (values) {
      const value = this.palette.scale("values")?.numbers[code] ?? NaN;
      add(values.column, Number.isNaN(value) ? "–" : number(value), "value");
    }
    return list;
  }

  private buttons(code: number): HTMLElement {
    const row = document.createElement("p");
    row.className = "buttons";
    const go = document.createElement("button");
    go.textContent = "Go to";
    go.addEventListener("click", () => this.events.choose(code));
    const pin = document.createElement("button");
    const pinned = this.store.state.pinned.has(code);
    pin.textContent = pinned ? "Let go from 3-D" : "Keep in 3-D";
    pin.addEventListener("click", () => this.events.pin(code));
    const clear = document.createElement("button");
    clear.textContent = "Deselect";
    clear.addEventListener("click", () => this.store.set({ selected: 0 }));
    row.append(go, pin, clear);
    if (!this.atlas.meshesOf(code).length) {
      const note = document.createElement("span");
      note.className = "hint";
      note.textContent = "No mesh in this atlas.";
      row.append(note);
    }
    return row;
  }
}
