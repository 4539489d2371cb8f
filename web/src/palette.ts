// The colour of every code, for slices, meshes and the tree: the atlas's own, or by a number.

import type { Atlas, Triplet } from "./model";
import type { Colouring } from "./state";

// Viridis at sixteen steps: even to the eye, and readable without colour vision.
const RAMP: Triplet[] = [
  [68, 1, 84], [72, 26, 108], [71, 47, 125], [65, 68, 135],
  [57, 86, 140], [49, 104, 142], [42, 120, 142], [35, 136, 142],
  [31, 152, 139], [34, 168, 132], [53, 183, 121], [84, 197, 104],
  [122, 209, 81], [165, 219, 54], [210, 226, 27], [253, 231, 37],
];
const NOTHING: Triplet = [120, 124, 130];

export function ramp(part: number): Triplet {
  const at = Math.min(Math.max(part, 0), 1) * (RAMP.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, RAMP.length - 1);
  return RAMP[low].map((value, one) => Math.round(value + (RAMP[high][one] - value) * (at - low))) as Triplet;
}

export function rampCss(): string {
  return `linear-gradient(to right, ${RAMP.map((rgb) => `rgb(${rgb.join(" ")})`).join(", ")})`;
}

export interface Scale {
  title: string;
  low: number;
  high: number;
  /** By code; NaN where there is none. */
  numbers: Float64Array;
}

export function numbersByCode(atlas: Atlas, rows: Iterable<[number, number]>, inherit: boolean): Float64Array {
  const numbers = new Float64Array(atlas.count).fill(NaN);
  for (const [code, value] of rows) numbers[code] = value;
  if (inherit) {
    // A parent comes before its children, so one walk hands values down.
    for (let code = 1; code < atlas.count; code++) {
      if (Number.isNaN(numbers[code])) numbers[code] = numbers[atlas.parent(code)];
    }
  }
  return numbers;
}

export class Palette {
  scales: Partial<Record<Colouring, Scale>> = {};

  constructor(private readonly atlas: Atlas) {}

  scale(colouring: Colouring): Scale | undefined {
    return this.scales[colouring];
  }

  /** Where a structure's number lies on its scale, 0 to 1; NaN where it has none. */
  part(code: number, colouring: Colouring): number {
    const scale = this.scales[colouring];
    const number = scale?.numbers[code] ?? NaN;
    if (!scale || Number.isNaN(number)) return NaN;
    if (colouring === "points") return scale.high > 0 ? Math.log1p(number) / Math.log1p(scale.high) : 0;
    return scale.high > scale.low ? (number - scale.low) / (scale.high - scale.low) : 0.5;
  }

  colour(code: number, colouring: Colouring): Triplet {
    if (code >= this.atlas.count) return [255, 0, 200]; // a label nobody lists should be seen
    if (!this.scales[colouring]) return this.atlas.colour(code);
    const part = this.part(code, colouring);
    return Number.isNaN(part) ? NOTHING : ramp(part);
  }

  hasNumber(code: number, colouring: Colouring): boolean {
    return !this.scales[colouring] || !Number.isNaN(this.part(code, colouring));
  }
}
