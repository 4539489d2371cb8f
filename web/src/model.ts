// The atlas as the page knows it: columns by preorder code, so that "is B inside A" is two compares.

export type Triplet = [number, number, number];

export interface Description {
  name: string;
  title: string;
  species: string;
  citation: string;
  version: string;
  token: string;
  shape: Triplet;
  spacing_um: Triplet;
  orientation: string;
  left_span: [number, number];
  sides_stored: boolean;
  references: string[];
  overlays: { points: boolean; values: boolean };
  structures: {
    id: number[];
    acronym: string[];
    name: string[];
    parent: number[];
    last: number[];
    rgb: number[];
    mesh: number[];
  };
}

export interface Regions {
  volume_mm3: number[];
  left_mm3: number[];
  right_mm3: number[];
  own_mm3: number[];
  inside_um: (Triplet | null)[];
}

export class Atlas {
  readonly count: number;
  private readonly codes = new Map<number, number>();
  private readonly sought: string[];

  constructor(readonly about: Description) {
    const { id, acronym, name } = about.structures;
    this.count = id.length;
    for (let code = this.count - 1; code > 0; code--) this.codes.set(id[code], code);
    this.sought = acronym.map((short, code) => `${short}\n${name[code]}`.toLowerCase());
  }

  get shape(): Triplet {
    return this.about.shape;
  }

  get spacing(): Triplet {
    return this.about.spacing_um;
  }

  codeOf(id: number): number {
    return this.codes.get(id) ?? 0;
  }

  id(code: number): number {
    return this.about.structures.id[code];
  }

  acronym(code: number): string {
    return this.about.structures.acronym[code] ?? "unlisted";
  }

  name(code: number): string {
    return this.about.structures.name[code] ?? "";
  }

  parent(code: number): number {
    return this.about.structures.parent[code] ?? 0;
  }

  last(code: number): number {
    return this.about.structures.last[code];
  }

  hasMesh(code: number): boolean {
    return this.about.structures.mesh[code] === 1;
  }

  colour(code: number): Triplet {
    const { rgb } = this.about.structures;
    return [rgb[3 * code], rgb[3 * code + 1], rgb[3 * code + 2]];
  }

  css(code: number): string {
    return `rgb(${this.colour(code).join(" ")})`;
  }

  contains(outer: number, inner: number): boolean {
    return outer > 0 && outer <= inner && inner <= this.last(outer);
  }

  children(code: number): number[] {
    const found: number[] = [];
    const end = code === 0 ? this.count - 1 : this.last(code);
    for (let child = code + 1; child <= end; child = this.last(child) + 1) found.push(child);
    return found;
  }

  /** From the root down to the structure itself. */
  path(code: number): number[] {
    const chain: number[] = [];
    for (let one = code; one > 0 && one < this.count; one = this.parent(one)) chain.push(one);
    return chain.reverse();
  }

  /** The structure if it has a mesh, else the highest below it that have one. */
  meshesOf(code: number): number[] {
    if (code <= 0) return [];
    if (this.hasMesh(code)) return [code];
    return this.children(code).flatMap((child) => this.meshesOf(child));
  }

  /** Best first: the acronym itself, acronyms that begin so, names that begin so, words, the rest. */
  search(text: string, limit = 60): number[] {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const ranked: [number, number][] = [];
    const words = wanted.split(/\s+/);
    for (let code = 1; code < this.count; code++) {
      const spelled = this.sought[code];
      const exact = String(this.id(code)) === wanted;
      if (!exact && !words.every((word) => spelled.includes(word))) continue;
      const split = spelled.indexOf("\n");
      const short = spelled.slice(0, split);
      const long = spelled.slice(split + 1);
      let rank = 5;
      if (exact || short === wanted) rank = 0;
      else if (long === wanted) rank = 1;
      else if (short.startsWith(wanted)) rank = 2;
      else if (long.startsWith(wanted)) rank = 3;
      else if (long.includes(` ${wanted}`)) rank = 4;
      ranked.push([rank, code]);
    }
    ranked.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    return ranked.slice(0, limit).map(([, code]) => code);
  }

  /** Where the slices begin: in the middle, but beside the cleft between the hemispheres. */
  get middle(): Triplet {
    const axis = this.leftRightAxis;
    const part = (one: number) => (one === axis ? 0.42 : 0.5);
    return this.shape.map((length, one) => Math.floor(length * part(one))) as Triplet;
  }

  private get leftRightAxis(): number {
    return [...this.about.orientation].findIndex((letter) => letter === "l" || letter === "r");
  }

  /** "left" or "right" of a symmetric atlas, by the index along its left-right axis. */
  side(voxel: Triplet): string {
    const [from, to] = this.about.left_span;
    const index = voxel[this.leftRightAxis];
    return index >= from && index < to ? "left" : "right";
  }

  inVolume(voxel: Triplet): boolean {
    return voxel.every((index, axis) => index >= 0 && index < this.shape[axis]);
  }

  micrometres(voxel: Triplet): Triplet {
    return voxel.map((index, axis) => (index + 0.5) * this.spacing[axis]) as Triplet;
  }

  voxelAt(place_um: Triplet): Triplet {
    return place_um.map((one, axis) => {
      const index = Math.floor(one / this.spacing[axis]);
      return Math.min(Math.max(index, 0), this.shape[axis] - 1);
    }) as Triplet;
  }
}
