// Outlines as lines between voxels, for when voxels are large on the screen: thin at any zoom.

import { type Plane, strides } from "./geometry";
import type { Triplet } from "./model";

export interface Edges {
  /** In rows and columns of the slice: x is the column. */
  all: Path2D;
  /** Around what is selected. */
  chosen: Path2D;
}

/** Lines between neighbours that differ; those in a row are joined. */
export function edgesOf(
  view: Plane,
  shape: Triplet,
  codes: Uint16Array | Uint32Array,
  first: number,
  last: number,
): Edges {
  const [height, width] = [shape[view.rows], shape[view.columns]];
  const { base, down, along } = strides(view, shape);
  const edges: Edges = { all: new Path2D(), chosen: new Path2D() };
  const trace = (lines: number, length: number, across: number, step: number, upright: boolean) => {
    for (let line = 1; line < lines; line++) {
      let from = base + line * across;
      let kind = 0;
      let start = 0;
      for (let at = 0; at <= length; at++, from += step) {
        let now = 0;
        if (at < length) {
          const [here, before] = [codes[from], codes[from - across]];
          if (here !== before) {
            const inside = here >= first && here <= last;
            now = inside !== (before >= first && before <= last) ? 2 : 1;
          }
        }
        if (now === kind) continue;
        if (kind) {
          const path = kind === 2 ? edges.chosen : edges.all;
          if (upright) {
            path.moveTo(line, start);
            path.lineTo(line, at);
          } else {
            path.moveTo(start, line);
            path.lineTo(at, line);
          }
        }
        kind = now;
        start = at;
      }
    }
  };
  trace(height, width, down, along, false);
  trace(width, height, along, down, true);
  return edges;
}
