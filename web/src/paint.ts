// Paint a plane: grey values under colours of codes, with outlines. Plain loops over plain arrays.

import type { Atlas, Triplet } from "./model";
import type { Palette } from "./palette";
import { type Plane, strides } from "./geometry";
import type { State } from "./state";

/** Colours of every code for one state, weights worked in, so that a voxel is a few additions. */
export class Ink {
  readonly red: Uint16Array;
  readonly green: Uint16Array;
  readonly blue: Uint16Array;
  /** What is left of the grey value, of 256. */
  readonly rest: Uint16Array;
  readonly line: Uint32Array;
  readonly tone = new Uint8Array(256);
  readonly first: number;
  readonly last: number;

  constructor(atlas: Atlas, palette: Palette, state: State) {
    const size = atlas.count + 256; // labels that nobody lists follow
    [this.red, this.green, this.blue, this.rest] = [0, 1, 2, 3].map(() => new Uint16Array(size));
    this.line = new Uint32Array(size);
    this.first = state.selected || size;
    this.last = state.selected ? atlas.last(state.selected) : -1;
    const plain = state.opacity;
    for (let code = 1; code < size; code++) {
      const rgb = palette.colour(code, state.colouring);
      const chosen = code >= this.first && code <= this.last;
      let weight = chosen ? Math.min(1, plain + 0.3 * (plain > 0 ? 1 : 0)) : plain;
      if (!palette.hasNumber(code, state.colouring)) weight *= 0.35;
      const part = Math.round(weight * 256);
      this.red[code] = rgb[0] * part;
      this.green[code] = rgb[1] * part;
      this.blue[code] = rgb[2] * part;
      this.rest[code] = 256 - part;
      this.line[code] = lineOf(rgb, plain);
    }
    this.rest[0] = 256;
    const span = Math.max(1, state.white - state.black);
    for (let value = 0; value < 256; value++) {
      this.tone[value] = Math.min(255, Math.max(0, Math.round(((value - state.black) * 255) / span)));
    }
  }
}

function lineOf(rgb: Triplet, opacity: number): number {
  // Over a strong fill a dark line is seen, over a weak one the colour itself.
  const shade = opacity > 0.3 ? 0.38 : 1;
  const [red, green, blue] = rgb.map((value) => Math.round(value * shade));
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

const CHOSEN = 0xffffffff | 0;

export function paint(
  image: ImageData,
  view: Plane,
  shape: Triplet,
  codes: Uint16Array | Uint32Array,
  grey: Uint8Array,
  ink: Ink,
  outlines: boolean,
): void {
  const { width, height } = image;
  const pixels = new Int32Array(image.data.buffer);
  const { base, down, along } = strides(view, shape);
  const { red, green, blue, rest, tone, line, first, last } = ink;
  let at = 0;
  for (let row = 0; row < height; row++) {
    let from = base + row * down;
    const below = row + 1 < height ? down : 0;
    for (let column = 0; column < width; column++, from += along, at++) {
      const code = codes[from];
      const shown = tone[grey[from]];
      if (outlines) {
        const next = column + 1 < width ? codes[from + along] : code;
        const under = codes[from + below];
        if (next !== code || under !== code) {
          const here = code >= first && code <= last;
          const chosen =
            here !== (next >= first && next <= last) || here !== (under >= first && under <= last);
          pixels[at] = chosen ? CHOSEN : line[code || next || under];
          continue;
        }
      }
      if (code === 0) {
        pixels[at] = shown < 8 ? 0 : (255 << 24) | (shown << 16) | (shown << 8) | shown;
        continue;
      }
      const left = rest[code] * shown;
      pixels[at] =
        (255 << 24) |
        (((left + blue[code]) >> 8) << 16) |
        (((left + green[code]) >> 8) << 8) |
        ((left + red[code]) >> 8);
    }
  }
}
