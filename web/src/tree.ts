// The region tree: only what is open stands in the document. Keys as in the ARIA pattern of trees.

import type { Atlas } from "./model";
import type { Palette } from "./palette";
import type { Store } from "./state";

export interface TreeEvents {
  choose(code: number): void;
  pin(code: number): void;
}

export class Tree {
  private readonly open = new Set<number>();
  private rows: number[] = [];
  private active = 1;
  private typed = "";
  private typedAt = 0;
  totals: ReadonlyMap<number, number> = new Map();

  constructor(
    private readonly root: HTMLElement,
    private readonly atlas: Atlas,
    private readonly store: Store,
    private readonly palette: Palette,
    private readonly events: TreeEvents,
  ) {
    this.openUpTo(2);
    root.addEventListener("click", (event) => this.clicked(event));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  private openUpTo(depth: number): void {
    const visit = (code: number, deep: number) => {
      if (deep >= depth) return;
      this.open.add(code);
      for (const child of this.atlas.children(code)) visit(child, deep + 1);
    };
    for (const child of this.atlas.children(0)) visit(child, 0);
  }

  /** Open the way to a structure and bring it into view. */
  reveal(code: number): void {
    if (code <= 0) return this.rows.length ? this.mark() : this.draw();
    for (const above of this.atlas.path(code).slice(0, -1)) this.open.add(above);
    this.active = code;
    this.draw();
    this.keepInView();
  }

  /** Scroll to the selected row: the card below grows, and the tree shrinks. */
  keepInView(): void {
    this.rowOf(this.store.state.selected)?.scrollIntoView({ block: "nearest" });
  }

  focus(): void {
    this.rowOf(this.active)?.focus();
  }

  private rowOf(code: number): HTMLElement | null {
    return this.root.querySelector(`[data-code="${code}"]`);
  }

  draw(): void {
    const focused = this.root.contains(document.activeElement);
    this.rows = [];
    const parts: HTMLElement[] = [];
    const visit = (codes: number[], level: number) => {
      codes.forEach((code, at) => {
        this.rows.push(code);
        parts.push(this.row(code, level, at + 1, codes.length));
        if (this.open.has(code)) visit(this.atlas.children(code), level + 1);
      });
    };
    visit(this.atlas.children(0), 1);
    this.root.replaceChildren(...parts);
    if (!this.rows.includes(this.active)) this.active = this.rows[0];
    this.mark();
    if (focused) this.focus();
  }

  private row(code: number, level: number, place: number, siblings: number): HTMLElement {
    const { atlas } = this;
    const row = document.createElement("li");
    const inner = atlas.last(code) > code;
    row.role = "treeitem";
    row.dataset.code = String(code);
    row.ariaLevel = String(level);
    row.ariaPosInSet = String(place);
    row.ariaSetSize = String(siblings);
    if (inner) row.ariaExpanded = String(this.open.has(code));
    row.tabIndex = -1;
    row.style.setProperty("--level", String(level - 1));
    const arrow = document.createElement("span");
    arrow.className = inner ? "arrow" : "arrow none";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    const short = document.createElement("b");
    short.textContent = atlas.acronym(code);
    const long = document.createElement("span");
    long.className = "name";
    long.textContent = atlas.name(code);
    const total = document.createElement("span");
    total.className = "total";
    const pin = document.createElement("button");
    pin.className = "pin";
    pin.tabIndex = -1;
    pin.textContent = "◉";
    row.title = atlas.name(code);
    row.append(arrow, swatch, short, long, total, pin);
    return row;
  }

  /** Bring colours, numbers and marks up to date without building the rows again. */
  mark(): void {
    const { state } = this.store;
    const most = Math.max(1, ...this.totals.values());
    for (const row of this.root.children as HTMLCollectionOf<HTMLElement>) {
      const code = Number(row.dataset.code);
      row.ariaSelected = String(code === state.selected);
      row.tabIndex = code === this.active ? 0 : -1;
      const [arrow, swatch, , , total, pin] = row.children as unknown as HTMLElement[];
      arrow.ariaHidden = "true";
      swatch.style.background = `rgb(${this.palette.colour(code, state.colouring).join(" ")})`;
      const count = this.totals.get(code) ?? 0;
      total.textContent = count ? count.toLocaleString("en") : "";
      row.style.setProperty("--heat-part", String(count ? Math.log1p(count) / Math.log1p(most) : 0));
      const pinned = state.pinned.has(code);
      row.classList.toggle("pinned", pinned);
      pin.ariaPressed = String(pinned);
      pin.ariaLabel = `Keep ${this.atlas.acronym(code)} in 3-D`;
      pin.title = pinned ? "Let it go from 3-D" : "Keep in 3-D";
    }
  }

  private clicked(event: Event): void {
    const target = event.target as HTMLElement;
    const row = target.closest<HTMLElement>("[data-code]");
    if (!row) return;
    const code = Number(row.dataset.code);
    this.active = code;
    if (target.classList.contains("pin")) this.events.pin(code);
    else if (target.classList.contains("arrow")) this.toggle(code);
    else this.events.choose(code);
  }

  private toggle(code: number, open = !this.open.has(code)): void {
    if (this.atlas.last(code) === code) return;
    if (open) this.open.add(code);
    else this.open.delete(code);
    this.draw();
  }

  private go(code: number | undefined): void {
    if (!code) return;
    this.active = code;
    this.mark();
    this.focus();
    this.rowOf(code)?.scrollIntoView({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const code = this.active;
    const at = this.rows.indexOf(code);
    const isOpen = this.open.has(code);
    const inner = this.atlas.last(code) > code;
    const moves: Record<string, () => void> = {
      ArrowDown: () => this.go(this.rows[at + 1]),
      ArrowUp: () => this.go(this.rows[at - 1]),
      PageDown: () => this.go(this.rows[Math.min(at + 12, this.rows.length - 1)]),
      PageUp: () => this.go(this.rows[Math.max(at - 12, 0)]),
      Home: () => this.go(this.rows[0]),
      End: () => this.go(this.rows.at(-1)),
      ArrowRight: () => {
        if (inner && !isOpen) this.toggle(code, true);
        else if (inner) this.go(code + 1);
      },
      ArrowLeft: () => {
        if (isOpen && inner) this.toggle(code, false);
        else this.go(this.atlas.parent(code));
      },
      Enter: () => this.events.choose(code),
      " ": () => this.events.choose(code),
      m: () => this.events.pin(code),
      "*": () => {
        for (const sibling of this.atlas.children(this.atlas.parent(code))) {
          if (this.atlas.last(sibling) > sibling) this.open.add(sibling);
        }
        this.draw();
      },
    };
    const move = moves[event.key];
    if (move) {
      event.preventDefault();
      event.stopPropagation();
      move();
    } else if (event.key.length === 1 && !"/?1234".includes(event.key)) {
      event.stopPropagation();
      this.jump(event.key.toLowerCase());
    }
  }

  /** Go to the next open row whose acronym begins with what was typed. */
  private jump(letter: string): void {
    const now = performance.now();
    this.typed = now - this.typedAt < 700 ? this.typed + letter : letter;
    this.typedAt = now;
    const at = this.rows.indexOf(this.active);
    const from = this.typed.length > 1 ? at : at + 1;
    const order = [...this.rows.slice(from), ...this.rows.slice(0, from)];
    this.go(order.find((code) => this.atlas.acronym(code).toLowerCase().startsWith(this.typed)));
  }
}
