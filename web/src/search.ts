// The search box: results as one types, chosen with arrows and Enter.

import type { Atlas } from "./model";

export class Search {
  private hits: number[] = [];
  private active = -1;

  constructor(
    private readonly box: HTMLInputElement,
    private readonly list: HTMLElement,
    private readonly atlas: Atlas,
    private readonly choose: (code: number) => void,
  ) {
    box.addEventListener("input", () => this.find());
    box.addEventListener("focus", () => this.find());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => window.setTimeout(() => this.close(), 150));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus
    list.addEventListener("click", (event) => {
      const row = (event.target as HTMLElement).closest<HTMLElement>("[data-code]");
      if (row) this.take(Number(row.dataset.code));
    });
  }

  focus(): void {
    this.box.focus();
    this.box.select();
  }

  private find(): void {
    this.hits = this.atlas.search(this.box.value);
    this.active = this.hits.length ? 0 : -1;
    this.list.replaceChildren(...this.hits.map((code, at) => this.row(code, at)));
    if (this.box.value.trim() && !this.hits.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.role = "option";
      none.ariaDisabled = "true";
      none.ariaSelected = "false";
      none.textContent = "No region has this in its acronym or name";
      this.list.append(none);
    }
    this.list.hidden = !this.list.childElementCount;
    this.box.ariaExpanded = String(!this.list.hidden);
    this.mark();
  }

  private row(code: number, at: number): HTMLElement {
    const row = document.createElement("li");
    row.role = "option";
    row.id = `hit-${at}`;
    row.dataset.code = String(code);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = this.atlas.css(code);
    const short = document.createElement("b");
    short.textContent = this.atlas.acronym(code);
    const long = document.createElement("span");
    long.className = "name";
    long.textContent = this.atlas.name(code);
    row.append(swatch, short, long);
    return row;
  }

  private mark(): void {
    for (const [at, row] of [...this.list.children].entries()) {
      row.ariaSelected = String(at === this.active);
      if (at === this.active) row.scrollIntoView({ block: "nearest" });
    }
    if (this.active >= 0) this.box.setAttribute("aria-activedescendant", `hit-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    const count = this.hits.length;
    const { value, selectionStart, selectionEnd } = this.box;
    if (event.key === "/" && selectionStart === 0 && selectionEnd === value.length) {
      event.preventDefault(); // somebody searches again; within a text it is a part of it
      return;
    }
    if (event.key === "ArrowDown" && count) this.active = (this.active + 1) % count;
    else if (event.key === "ArrowUp" && count) this.active = (this.active + count - 1) % count;
    else if (event.key === "Enter" && this.active >= 0) {
      this.take(this.hits[this.active]);
      return;
    } else if (event.key === "Escape") {
      this.box.value = "";
      this.close();
      this.box.blur();
      event.stopPropagation();
      return;
    } else return;
    event.preventDefault();
    this.mark();
  }

  private take(code: number): void {
    this.box.value = this.atlas.acronym(code);
    this.close();
    this.box.select();
    this.choose(code);
  }

  private close(): void {
    this.list.hidden = true;
    this.box.ariaExpanded = "false";
    this.box.removeAttribute("aria-activedescendant");
  }
}
