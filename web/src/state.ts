// What is shown, in one place; listeners hear what changed; the address says it, to be shared.

import type { Atlas, Triplet } from "./model";

export type Colouring = "atlas" | "points" | "values";
export type Theme = "auto" | "light" | "dark";

export interface State {
  voxel: Triplet;
  selected: number;
  pinned: ReadonlySet<number>;
  reference: number;
  opacity: number;
  /** Grey values, 0…255, that are black and white. */
  black: number;
  white: number;
  outlines: boolean;
  colouring: Colouring;
  slicesIn3d: boolean;
  theme: Theme;
  /** Angles of the camera of the 3-D view, degrees, and its distance, 1 being the beginning. */
  camera: Triplet;
}

type Listener = (changed: ReadonlySet<keyof State>) => void;

export const CAMERA: Triplet = [35, 68, 1];

export class Store {
  private readonly listeners: Listener[] = [];
  private timer = 0;
  private written = "";

  constructor(
    public state: State,
    private readonly atlas: Atlas,
  ) {}

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  set(part: Partial<State>): void {
    const changed = new Set<keyof State>();
    for (const key of Object.keys(part) as (keyof State)[]) {
      if (!same(part[key], this.state[key])) changed.add(key);
    }
    if (!changed.size) return;
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener(changed);
    // Browsers refuse more than a few changes of the address a second.
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.write(), 200);
  }

  write(): void {
    window.clearTimeout(this.timer);
    this.written = spell(this.state, this.atlas);
    history.replaceState(null, "", `#${this.written}`);
  }

  /** Take over what the address says, as when somebody pastes another one. */
  reread(): void {
    const text = location.hash.slice(1);
    if (text === this.written) return;
    this.set(read(text, this.atlas));
  }
}

function same(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) return one.every((item, at) => item === other[at]);
  if (one instanceof Set && other instanceof Set) {
    return one.size === other.size && [...one].every((item) => other.has(item));
  }
  return one === other;
}

function storedTheme(): Theme {
  const text = localStorage.getItem("theme");
  return text === "light" || text === "dark" ? text : "auto";
}

function spell(state: State, atlas: Atlas): string {
  const terms: string[] = [`p=${state.voxel.join(",")}`];
  if (state.selected) terms.push(`s=${atlas.id(state.selected)}`);
  if (state.pinned.size) terms.push(`m=${[...state.pinned].map((code) => atlas.id(code)).join(",")}`);
  if (state.reference) terms.push(`r=${state.reference}`);
  if (state.opacity !== 0.5) terms.push(`o=${state.opacity}`);
  if (state.black !== 0 || state.white !== 255) terms.push(`w=${state.black},${state.white}`);
  if (!state.outlines) terms.push("l=0");
  if (!state.slicesIn3d) terms.push("d=0");
  if (state.colouring !== "atlas") terms.push(`c=${state.colouring}`);
  if (!same(state.camera, CAMERA)) terms.push(`v=${state.camera.map((one) => +one.toFixed(2)).join(",")}`);
  return terms.join("&");
}

function numbers(text: string | null, count: number): number[] | null {
  const found = text?.split(",").map(Number) ?? [];
  return found.length === count && found.every(Number.isFinite) ? found : null;
}

/** What an address says; what it leaves out, or says wrongly, is as at the beginning. */
export function read(text: string, atlas: Atlas): State {
  const terms = new URLSearchParams(text);
  const within = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
  const place = numbers(terms.get("p"), 3)?.map(Math.floor) as Triplet | undefined;
  const window = numbers(terms.get("w"), 2);
  const opacity = numbers(terms.get("o"), 1);
  const reference = numbers(terms.get("r"), 1)?.[0] ?? 0;
  const colouring = terms.get("c");
  const ids = terms.get("m")?.split(",").map(Number) ?? [];
  const pinned = ids.map((id) => atlas.codeOf(id)).filter((code) => code > 0);
  return {
    voxel: place && atlas.inVolume(place) ? place : atlas.middle,
    selected: atlas.codeOf(Number(terms.get("s") ?? 0)),
    pinned: new Set(pinned),
    reference: atlas.about.references[reference] === undefined ? 0 : reference,
    opacity: opacity ? within(opacity[0], 0, 1) : 0.5,
    black: window ? within(window[0], 0, 254) : 0,
    white: window ? within(window[1], window[0] + 1, 255) : 255,
    outlines: terms.get("l") !== "0",
    slicesIn3d: terms.get("d") !== "0",
    colouring: colouring === "points" || colouring === "values" ? colouring : "atlas",
    theme: storedTheme(),
    camera: (numbers(terms.get("v"), 3) as Triplet | null) ?? CAMERA,
  };
}
