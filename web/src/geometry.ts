// How planes are turned for the eye, as in plots: left is left, superior is up, anterior left or up.

import type { Triplet } from "./model";

export interface Plane {
  key: "coronal" | "sagittal" | "horizontal";
  title: string;
  /** Axis across, along rows (down the screen), along columns (across the screen). */
  axis: number;
  rows: number;
  columns: number;
  flipRows: boolean;
  flipColumns: boolean;
  /** Letters at the top, bottom, left and right edges. */
  sides: [string, string, string, string];
}

const OPPOSITE: Record<string, string> = { a: "P", p: "A", s: "I", i: "S", l: "R", r: "L" };
const FIRST: Record<string, string> = { ap: "a", si: "s", lr: "l" };

function axisOf(orientation: string, pair: string): number {
  return [...orientation].findIndex((letter) => pair.includes(letter));
}

function plane(
  orientation: string,
  key: Plane["key"],
  title: string,
  across: string,
  down: string,
  along: string,
): Plane {
  const [axis, rows, columns] = [across, down, along].map((pair) => axisOf(orientation, pair));
  const first = (pair: string) => FIRST[pair].toUpperCase();
  const last = (pair: string) => OPPOSITE[FIRST[pair]];
  return {
    key,
    title,
    axis,
    rows,
    columns,
    flipRows: orientation[rows] !== FIRST[down],
    flipColumns: orientation[columns] !== FIRST[along],
    sides: [first(down), last(down), first(along), last(along)],
  };
}

export function planesOf(orientation: string): Plane[] {
  return [
    plane(orientation, "coronal", "Coronal", "ap", "si", "lr"),
    plane(orientation, "sagittal", "Sagittal", "lr", "si", "ap"),
    plane(orientation, "horizontal", "Horizontal", "si", "ap", "lr"),
  ];
}

/** Which axis of the atlas each axis of the 3-D scene follows, and its sign: X left, Y up, Z front. */
export function worldAxes(orientation: string): [number, number][] {
  const letter = (pair: string) => orientation[axisOf(orientation, pair)];
  return [
    [axisOf(orientation, "lr"), letter("lr") === "r" ? 1 : -1],
    [axisOf(orientation, "si"), letter("si") === "s" ? -1 : 1],
    [axisOf(orientation, "ap"), letter("ap") === "a" ? -1 : 1],
  ];
}

export function voxelOf(view: Plane, shape: Triplet, index: number, row: number, column: number): Triplet {
  const voxel: Triplet = [0, 0, 0];
  voxel[view.axis] = index;
  voxel[view.rows] = view.flipRows ? shape[view.rows] - 1 - row : row;
  voxel[view.columns] = view.flipColumns ? shape[view.columns] - 1 - column : column;
  return voxel;
}

/** Row and column of a voxel on the screen; they may be fractions. */
export function placeOf(view: Plane, shape: Triplet, voxel: Triplet): [number, number] {
  const row = view.flipRows ? shape[view.rows] - 1 - voxel[view.rows] : voxel[view.rows];
  const column = view.flipColumns ? shape[view.columns] - 1 - voxel[view.columns] : voxel[view.columns];
  return [row, column];
}

/** How to walk a stored plane (its axes in order) as rows and columns of the screen. */
export function strides(view: Plane, shape: Triplet): { base: number; down: number; along: number } {
  const rowsFirst = view.rows < view.columns;
  const rowStep = rowsFirst ? shape[view.columns] : 1;
  const columnStep = rowsFirst ? 1 : shape[view.rows];
  const base =
    (view.flipRows ? (shape[view.rows] - 1) * rowStep : 0) +
    (view.flipColumns ? (shape[view.columns] - 1) * columnStep : 0);
  return {
    base,
    down: view.flipRows ? -rowStep : rowStep,
    along: view.flipColumns ? -columnStep : columnStep,
  };
}
