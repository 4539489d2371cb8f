// Puts the page together: first the slices, then the tree, then, loaded last, the 3-D view.

import "./style.css";
import { Details } from "./details";
import { planesOf } from "./geometry";
import { Atlas, type Triplet } from "./model";
import { numbersByCode, Palette, rampCss } from "./palette";
import { Ink } from "./paint";
import { Pane, type Seen } from "./pane";
import { Search } from "./search";
import { compose, save } from "./shot";
import type { Solid } from "./solid";
import { type Colouring, read, type State, Store } from "./state";
import { Tree } from "./tree";
import * as wire from "./wire";

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

let toastTimer = 0;

function toast(text: string, lasts = 7000): void {
  const box = element("toast");
  box.textContent = text;
  box.hidden = false;
  window.clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (box.hidden = true), lasts);
}

function failed(error: unknown): void {
  toast(error instanceof Error ? error.message : String(error));
}

/** Wait until what was drawn is on the screen and the browser rests. A hidden page draws nothing. */
function painted(): Promise<void> {
  return new Promise((go) => {
    if (document.hidden) return go();
    setTimeout(go, 3000); // hidden meanwhile
    const rest = () => ("requestIdleCallback" in window ? requestIdleCallback(() => go(), { timeout: 300 }) : setTimeout(go, 50));
    requestAnimationFrame(() => setTimeout(rest, 0));
  });
}

class Viewer {
  private readonly palette: Palette;
  private readonly panes: Pane[];
  private readonly tree: Tree;
  private readonly search: Search;
  private readonly details: Details;
  private file: File | null = null;
  private solid: Solid | null = null;
  private regions: Promise<void> | null = null;
  private points: Float32Array = new Float32Array();

  constructor(
    private readonly atlas: Atlas,
    private readonly store: Store,
    planes: wire.Planes,
  ) {
    this.palette = new Palette(atlas);
    this.panes = planesOf(atlas.about.orientation).map((view) => {
      const root = this.paneRoot(view.key, view.title, view.sides);
      return new Pane(view, atlas, planes, store, this.paneEvents(), root);
    });
    const events = {
      choose: (code: number) => void this.goTo(code),
      pin: (code: number) => this.pin(code),
      reread: (unit: string) => {
        if (this.file) void this.open(this.file, unit);
      },
    };
    this.tree = new Tree(element("tree"), atlas, store, this.palette, events);
    this.details = new Details(element("details"), atlas, store, this.palette, events);
    this.search = new Search(element("search"), element("hits"), atlas, (code) => void this.goTo(code));
    store.listen((changed) => this.changed(changed));
    this.controls();
    this.dropping();
    document.addEventListener("keydown", (event) => this.typing(event), { capture: true });
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("hashchange", () => store.reread());
  }

  private paneRoot(key: string, title: string, sides: string[]): HTMLElement {
    const root = (element<HTMLTemplateElement>("slice").content.cloneNode(true) as DocumentFragment)
      .firstElementChild as HTMLElement;
    root.dataset.pane = key;
    root.querySelector("h2")!.textContent = title;
    root.querySelector("input")!.ariaLabel = `${title} slice`;
    root.querySelector("canvas")!.ariaLabel =
      `${title} slice. Arrow keys move the crosshair, page keys change the slice, Enter selects the region.`;
    ["top", "bottom", "left", "right"].forEach((edge, at) => {
      root.querySelector(`.${edge}`)!.textContent = sides[at];
    });
    element("solid").before(root);
    return root;
  }

  private paneEvents() {
    return {
      hover: (seen: Seen | null, x: number, y: number) => this.hovered(seen, x, y),
      choose: (seen: Seen) => this.chose(seen),
      moved: () => this.sayWhere(),
      painted: (pane: Pane) => this.slabLater(pane),
      failed,
    };
  }

  /** Show the slices, and only then what may come later. */
  async begin(): Promise<void> {
    this.theme();
    this.recolour();
    this.showControls();
    await Promise.all(this.panes.map((pane) => pane.refresh()));
    for (const pane of this.panes) pane.drawNow();
    document.documentElement.dataset.picture = "shown";
    await painted(); // what follows would keep the slices from the screen
    performance.mark("picture");
    this.details.draw();
    this.statusAgain(); // somebody may point already
    this.tree.reveal(this.store.state.selected);
    await this.startSolid();
    for (const pane of this.panes) pane.ahead = true;
    this.measure().catch(failed);
    const { overlays } = this.atlas.about;
    const { selected } = this.store.state;
    if (selected && !new URLSearchParams(location.hash.slice(1)).has("p")) await this.goTo(selected);
    if (overlays.points) this.take(await wire.startingPoints());
    if (overlays.values) this.take(await wire.startingValues());
    document.documentElement.dataset.ready = "all";
  }

  private measure(): Promise<void> {
    this.regions ??= wire.regions(this.atlas.about.token).then((regions) => {
      this.details.regions = regions;
      this.details.draw();
      this.tree.keepInView();
      document.documentElement.dataset.regions = "known";
    });
    return this.regions;
  }

  private async startSolid(): Promise<void> {
    const canvas = element("solid").querySelector("canvas")!;
    try {
      const { Solid } = await import("./solid");
      this.solid = new Solid(canvas, this.atlas, this.store, {
        hover: (code, x, y) => this.hoveredSolid(code, x, y),
        choose: (code, place_um) => this.store.set({ selected: code, voxel: this.atlas.voxelAt(place_um) }),
        failed,
      });
    } catch {
      const absent = element("solid").querySelector<HTMLElement>(".absent")!;
      absent.textContent = "This browser shows no WebGL, so there is no 3-D view.";
      absent.hidden = false;
      canvas.hidden = true;
      return;
    }
    this.showSurfaces();
    this.solid.setPoints(this.points);
    document.documentElement.dataset.solid = "shown";
  }

  private showSurfaces(): void {
    const { selected, pinned, colouring } = this.store.state;
    const codes = new Set(this.atlas.meshesOf(1).length ? this.atlas.meshesOf(1) : []);
    for (const code of [selected, ...pinned]) for (const one of this.atlas.meshesOf(code)) codes.add(one);
    this.solid?.show(codes, (code) => this.palette.colour(code, colouring));
    for (const pane of this.panes) this.solid?.slab(pane, this.store.state.slicesIn3d);
  }

  private recolour(): void {
    const ink = new Ink(this.atlas, this.palette, this.store.state);
    for (const pane of this.panes) pane.recolour(ink);
  }

  private changed(changed: ReadonlySet<keyof State>): void {
    const any = (...keys: (keyof State)[]) => keys.some((key) => changed.has(key));
    if (any("selected", "opacity", "black", "white", "outlines", "colouring")) this.recolour();
    if (any("voxel", "reference")) {
      for (const pane of this.panes) void pane.refresh().then(() => this.statusAgain());
    }
    if (any("selected")) {
      this.tree.reveal(this.store.state.selected);
      this.say();
    }
    if (any("pinned", "colouring")) this.tree.mark();
    if (any("selected", "pinned", "colouring")) {
      this.details.draw();
      this.showSurfaces();
      this.tree.keepInView();
    }
    if (any("slicesIn3d")) for (const pane of this.panes) this.solid?.slab(pane, this.store.state.slicesIn3d);
    if (any("camera")) this.solid?.followCamera();
    if (any("theme")) this.theme();
    if (any("colouring")) this.legend();
    this.showControls();
  }

  private chose(seen: Seen): void {
    this.store.set({ voxel: seen.voxel, selected: seen.code < this.atlas.count ? seen.code : 0 });
  }

  /** Select a region and bring the slices into it. */
  private async goTo(code: number): Promise<void> {
    this.store.set({ selected: code });
    if (document.body.dataset.tab === "regions") this.tab("coronal");
    try {
      await this.measure();
    } catch (error) {
      this.regions = null;
      failed(error);
      return;
    }
    const inside = this.details.regions?.inside_um[code];
    if (inside && this.store.state.selected === code) this.store.set({ voxel: this.atlas.voxelAt(inside) });
    else if (!inside) toast(`${this.atlas.acronym(code)} has no voxels in this atlas.`);
  }

  private pin(code: number): void {
    const pinned = new Set(this.store.state.pinned);
    if (!pinned.delete(code)) pinned.add(code);
    this.store.set({ pinned });
  }

  private label(seen: Seen): string {
    if (seen.unlisted !== null) return `unlisted ${seen.unlisted}`;
    return seen.code ? this.atlas.path(seen.code).map((one) => this.atlas.acronym(one)).join(" › ") : "Outside atlas";
  }

  private status(seen: Seen | null): void {
    const [where, numbers] = [element("where"), element("numbers")];
    if (!seen) return;
    where.textContent = this.label(seen);
    where.dataset.id = String(seen.unlisted ?? this.atlas.id(seen.code));
    const voxel = seen.voxel.join(", ");
    const place = this.atlas.micrometres(seen.voxel).map((one) => +one.toFixed(1)).join(", ");
    const id = seen.code ? `${this.name(seen)} · id ${where.dataset.id} · ` : "";
    numbers.textContent = `${id}voxel ${voxel} · ${place} µm${seen.side ? ` · ${seen.side}` : ""}`;
  }

  /** What lies under the pointer, or else at the crosshair. */
  private statusAgain(): void {
    if (!this.panes.some((pane) => pane.hoverAgain())) this.status(this.panes[0].seenHere());
  }

  /** Whoever uses keys wants to know of the crosshair, not of a pointer left somewhere. */
  private typing(event: KeyboardEvent): void {
    if (["Control", "Meta", "Alt", "Shift"].includes(event.key)) return;
    if (this.panes.filter((pane) => pane.forgetPointer()).length) this.hovered(null, 0, 0);
  }

  private name(seen: Seen): string {
    return seen.unlisted === null ? this.atlas.name(seen.code) : "not in the terminology";
  }

  private hovered(seen: Seen | null, x: number, y: number): void {
    const tip = element("tip");
    tip.hidden = !seen || seen.code === 0;
    this.status(seen ?? this.panes[0].seenHere());
    if (!seen || seen.code === 0) return;
    const listed = seen.unlisted === null;
    this.tipText(listed ? this.atlas.acronym(seen.code) : this.label(seen), this.name(seen), x, y);
  }

  private hoveredSolid(code: number, x: number, y: number): void {
    element("tip").hidden = code === 0;
    if (code) this.tipText(this.atlas.acronym(code), this.atlas.name(code), x, y);
  }

  private tipText(short: string, long: string, x: number, y: number): void {
    const tip = element("tip");
    const [bold, rest] = [document.createElement("b"), document.createElement("span")];
    bold.textContent = short;
    rest.textContent = long;
    tip.replaceChildren(bold, rest);
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.min(x + 14, window.innerWidth - offsetWidth - 6)}px`;
    tip.style.top = `${y + 18 + offsetHeight > window.innerHeight ? y - offsetHeight - 10 : y + 18}px`;
  }

  /** Tell screen readers what was selected. */
  private say(): void {
    const { selected } = this.store.state;
    element("said").textContent = selected
      ? `${this.atlas.acronym(selected)}, ${this.atlas.name(selected)} selected`
      : "Nothing selected";
  }

  private readonly waiting = new Map<Pane, number>();

  /** Bring the 3-D view up to date once slices rest: it costs more than a slice does. */
  private slabLater(pane: Pane): void {
    window.clearTimeout(this.waiting.get(pane));
    const later = () => this.solid?.slab(pane, this.store.state.slicesIn3d);
    this.waiting.set(pane, window.setTimeout(later, 250));
  }

  private saying = 0;

  /** Tell screen readers where the crosshair came to rest. */
  private sayWhere(): void {
    window.clearTimeout(this.saying);
    this.saying = window.setTimeout(() => {
      const seen = this.panes[0].seenHere();
      if (!seen) return;
      const where = seen.code ? `${this.name(seen)}, ${seen.side}` : "Outside atlas";
      element("said").textContent = `${where}. Voxel ${seen.voxel.join(", ")}`;
    }, 350);
  }

  private take(overlay: wire.Overlay): void {
    const { told } = overlay;
    if (told.kind === "points") {
      this.details.counts = told;
      this.points = overlay.points;
      for (const pane of this.panes) pane.setPoints(this.points);
      this.solid?.setPoints(this.points);
      const totals = told.rows.map(([code, , total]) => [code, total] as [number, number]);
      this.tree.totals = new Map(totals);
      const numbers = numbersByCode(this.atlas, totals, false);
      // The root's total would dwarf every region's: the scale ends at what a region itself holds.
      const high = Math.max(0, ...told.rows.map(([, own]) => own));
      this.palette.scales.points = { title: "Points", low: 0, high, numbers };
    } else {
      this.details.values = told;
      const numbers = numbersByCode(this.atlas, told.rows, true);
      const known = told.rows.map(([, value]) => value);
      const [low, high] = [Math.min(...known), Math.max(...known)];
      this.palette.scales.values = { title: told.column, low, high, numbers };
    }
    document.documentElement.dataset[told.kind] = told.name;
    const colouring = told.kind;
    if (this.store.state.colouring === colouring) {
      this.recolour();
      this.showSurfaces();
      this.legend();
    } else {
      this.store.set({ colouring });
    }
    this.tree.mark();
    this.details.draw();
    this.showControls();
  }

  private async open(file: File, unit = ""): Promise<void> {
    try {
      const overlay = await wire.dropped(file, unit);
      const { told } = overlay;
      if (told.kind === "points") this.file = file;
      this.details.canReread = this.file !== null;
      this.take(overlay);
      const what = told.kind === "points" ? `${told.count.toLocaleString("en")} points` : `${told.rows.length} values`;
      toast(`${told.name}: ${what}.`, 4000);
    } catch (error) {
      failed(error);
    }
  }

  private dropping(): void {
    const veil = element("drop");
    let inside = 0;
    const isFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files");
    window.addEventListener("dragenter", (event) => {
      if (!isFile(event)) return;
      inside += 1;
      veil.hidden = false;
    });
    window.addEventListener("dragleave", () => {
      inside = Math.max(0, inside - 1);
      veil.hidden = inside === 0;
    });
    window.addEventListener("dragover", (event) => event.preventDefault());
    window.addEventListener("drop", (event) => {
      event.preventDefault();
      inside = 0;
      veil.hidden = true;
      for (const file of event.dataTransfer?.files ?? []) void this.open(file);
    });
    const picker = element<HTMLInputElement>("file");
    picker.addEventListener("change", () => {
      for (const file of picker.files ?? []) void this.open(file);
      picker.value = "";
    });
  }

  private controls(): void {
    const { store } = this;
    const range = (id: string, set: (value: number) => Partial<State>) => {
      const box = element<HTMLInputElement>(id);
      box.addEventListener("input", () => store.set(set(Number(box.value))));
    };
    range("opacity", (opacity) => ({ opacity }));
    range("black", (black) => ({ black, white: Math.max(store.state.white, black + 1) }));
    range("white", (white) => ({ white, black: Math.min(store.state.black, white - 1) }));
    const check = (id: string, key: "outlines" | "slicesIn3d") => {
      const box = element<HTMLInputElement>(id);
      box.addEventListener("change", () => store.set({ [key]: box.checked }));
    };
    check("outlines", "outlines");
    check("slices3d", "slicesIn3d");
    const reference = element<HTMLSelectElement>("reference");
    reference.replaceChildren(...this.atlas.about.references.map((name, at) => new Option(name, String(at))));
    reference.addEventListener("change", () => store.set({ reference: Number(reference.value) }));
    const colouring = element<HTMLSelectElement>("colouring");
    colouring.addEventListener("change", () => store.set({ colouring: colouring.value as Colouring }));
    element("theme").addEventListener("click", () => {
      const dark = document.documentElement.dataset.theme === "dark";
      store.set({ theme: dark ? "light" : "dark" });
      localStorage.setItem("theme", store.state.theme);
    });
    element("share").addEventListener("click", () => void this.share());
    element("shot").addEventListener("click", () => void this.shoot());
    element("help").addEventListener("click", () => element<HTMLDialogElement>("keys").showModal());
    const display = element("display");
    display.addEventListener("click", () => {
      const open = document.body.classList.toggle("display-open");
      display.ariaExpanded = String(open);
    });
    for (const button of document.querySelectorAll<HTMLElement>(".tabs button")) {
      button.addEventListener("click", () => this.tab(button.dataset.tab!));
    }
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme());
    element("cite").textContent = this.atlas.about.citation ? `Cite: ${this.atlas.about.citation}` : "";
  }

  private tab(name: string): void {
    document.body.dataset.tab = name;
    for (const button of document.querySelectorAll<HTMLElement>(".tabs button")) {
      button.ariaPressed = String(button.dataset.tab === name);
    }
  }

  private showControls(): void {
    const { state } = this.store;
    element<HTMLInputElement>("opacity").value = String(state.opacity);
    element<HTMLInputElement>("black").value = String(state.black);
    element<HTMLInputElement>("white").value = String(state.white);
    element<HTMLInputElement>("outlines").checked = state.outlines;
    element<HTMLInputElement>("slices3d").checked = state.slicesIn3d;
    element<HTMLSelectElement>("reference").value = String(state.reference);
    element("reference-tool").hidden = this.atlas.about.references.length < 2;
    const colouring = element<HTMLSelectElement>("colouring");
    const scales = Object.entries(this.palette.scales) as [Colouring, { title: string }][];
    const options = [new Option("region", "atlas"), ...scales.map(([key, { title }]) => new Option(title, key))];
    if (colouring.length !== options.length) colouring.replaceChildren(...options);
    colouring.value = this.palette.scales[state.colouring] ? state.colouring : "atlas";
    element("colouring-tool").hidden = !scales.length;
  }

  private legend(): void {
    const legend = element("legend");
    const { colouring } = this.store.state;
    const scale = this.palette.scale(colouring);
    legend.hidden = !scale;
    if (!scale) return;
    const bar = document.createElement("div");
    bar.className = "ramp";
    bar.style.background = rampCss();
    const text = (value: string) => Object.assign(document.createElement("span"), { textContent: value });
    const short = (value: number) => String(+value.toPrecision(4));
    const title = colouring === "points" ? `${scale.title} (log)` : scale.title;
    legend.replaceChildren(text(short(scale.low)), bar, text(short(scale.high)), text(title));
  }

  private theme(): void {
    const { theme } = this.store.state;
    const dark = theme === "auto" ? window.matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    this.solid?.render();
  }

  private async share(): Promise<void> {
    this.store.write();
    try {
      await navigator.clipboard.writeText(location.href);
      toast("The link to this view was copied. It works while the viewer runs.", 4000);
    } catch {
      toast("The link to this view is in the address bar.", 4000);
    }
  }

  private async shoot(): Promise<void> {
    this.solid?.renderNow(); // what a card drew is only there until the frame ends
    const canvases = [...document.querySelectorAll<HTMLCanvasElement>(".pane canvas")];
    const paper = getComputedStyle(document.body);
    for (const canvas of canvases) {
      canvas.dataset.paper = getComputedStyle(canvas.closest(".pane")!).backgroundColor;
    }
    const { selected, voxel } = this.store.state;
    const place = this.atlas.micrometres(voxel).map((one) => +one.toFixed(1)).join(", ");
    const region = selected ? ` · ${this.atlas.acronym(selected)}, ${this.atlas.name(selected)}` : "";
    const caption = `${this.atlas.about.title} · ${place} µm${region}`;
    const edges = [...document.querySelectorAll<HTMLElement>(".pane .edge")];
    const picture = compose(canvases, edges, caption, paper.backgroundColor);
    await save(picture, `${this.atlas.about.name}_${voxel.join("-")}.png`);
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (element<HTMLDialogElement>("keys").open) return;
    const writing = target.matches("input[type=search], select, textarea");
    if (writing) return;
    const focus = (at: number) => {
      const name = this.panes[at]?.view.key ?? "solid";
      this.tab(name);
      document.querySelector<HTMLElement>(`[data-pane="${name}"] canvas`)?.focus();
    };
    const keys: Record<string, () => void> = {
      "/": () => {
        if (matchMedia("(max-width: 760px)").matches) this.tab("regions");
        this.search.focus();
      },
      "?": () => element<HTMLDialogElement>("keys").showModal(),
      "1": () => focus(0),
      "2": () => focus(1),
      "3": () => focus(2),
      "4": () => focus(3),
      t: () => this.tree.focus(),
      o: () => this.store.set({ outlines: !this.store.state.outlines }),
      m: () => {
        if (this.store.state.selected) this.pin(this.store.state.selected);
      },
      Escape: () => this.store.set({ selected: 0 }),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** For tests: where a voxel stands on the page, and what is shown. */
  get probe() {
    return {
      pageOf: (key: string, voxel: Triplet) => this.panes.find((pane) => pane.view.key === key)!.pageOf(voxel),
      shown: () => this.panes.map((pane) => pane.shown?.index ?? -1),
      meshes: () => (this.solid?.shownMeshes ?? []).map((code) => this.atlas.acronym(code)),
      state: () => ({ ...this.store.state, pinned: [...this.store.state.pinned] }),
    };
  }
}

async function start(): Promise<void> {
  const atlas = new Atlas(await wire.describe());
  document.title = atlas.about.title;
  element("title").textContent = atlas.about.title;
  const store = new Store(read(location.hash.slice(1), atlas), atlas);
  const planes = new wire.Planes(atlas.about.token, atlas.count, atlas.shape);
  // Asked for first, while the page is put together.
  store.state.voxel.forEach((index, axis) => {
    planes.labels(axis, index).catch(() => undefined);
    planes.grey(store.state.reference, axis, index).catch(() => undefined);
    if (atlas.about.sides_stored) planes.sides(axis, index).catch(() => undefined);
  });
  const viewer = new Viewer(atlas, store, planes);
  Object.assign(window, { viewer: viewer.probe });
  await viewer.begin();
}

start().catch((error: unknown) => {
  element("where").textContent = "";
  toast(error instanceof Error ? error.message : String(error), 1e9);
});
