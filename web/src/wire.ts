// What comes over the wire, decoded and kept: planes, meshes, counts.

import type { Description, Regions, Triplet } from "./model";

export interface Labels {
  /** Codes in stored order, rows first. */
  codes: Uint32Array | Uint16Array;
  /** Ids of labels that the terminology lacks; their codes follow its last one. */
  extra: number[];
}

export interface Counts {
  kind: "points";
  name: string;
  unit: string;
  count: number;
  outside: number;
  beyond: number;
  /** Code, own, total, left, right. */
  rows: [number, number, number, number, number][];
  unlisted: Record<string, number>;
}

export interface Values {
  kind: "values";
  name: string;
  column: string;
  rows: [number, number][];
  unknown: string[];
  unknown_count: number;
}

export interface Surface {
  points: Float32Array;
  triangles: Uint32Array;
}

const KEPT_BYTES = 128 << 20;

export class Refused extends Error {}

async function explained(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status}.`;
  try {
    sentence = ((await answer.json()) as { error: string }).error;
  } catch {
    // not an answer of ours
  }
  throw new Refused(sentence);
}

async function ask(address: string, options?: RequestInit): Promise<Response> {
  try {
    return await explained(await fetch(address, options));
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused("The viewer's server does not answer any more: was it stopped?");
  }
}

export async function describe(): Promise<Description> {
  return (await ask("api/atlas.json", { credentials: "same-origin" })).json();
}

export async function regions(token: string): Promise<Regions> {
  return (await ask(`api/regions.json?v=${token}`)).json();
}

export async function surface(code: number, token: string): Promise<Surface> {
  const data = await (await ask(`api/mesh/${code}?v=${token}`)).arrayBuffer();
  const [vertices, triangles] = new Uint32Array(data, 0, 2);
  return {
    points: new Float32Array(data, 8, 3 * vertices),
    triangles: new Uint32Array(data, 8 + 12 * vertices, 3 * triangles),
  };
}

export interface Overlay {
  told: Counts | Values;
  points: Float32Array;
}

function unpacked(data: ArrayBuffer): Overlay {
  const [length] = new Uint32Array(data, 0, 1);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return { told, points: new Float32Array(data, 4 + length) };
}

export async function startingPoints(): Promise<Overlay> {
  return unpacked(await (await ask("api/points")).arrayBuffer());
}

export async function startingValues(): Promise<Overlay> {
  return { told: await (await ask("api/values")).json(), points: new Float32Array() };
}

export async function dropped(file: File, unit: string): Promise<Overlay> {
  const query = new URLSearchParams({ name: file.name });
  if (unit) query.set("unit", unit);
  const answer = await ask(`api/drop?${query}`, { method: "POST", body: file });
  return unpacked(await answer.arrayBuffer());
}

function unrolled(data: ArrayBuffer, count: number): Labels {
  const [rows, columns, runs, strange] = new Uint32Array(data, 0, 4);
  const extra = strange ? Array.from(new Float64Array(data.slice(16, 16 + 8 * strange))) : [];
  const at = 16 + 8 * strange;
  const lengths = new Uint32Array(data, at, runs);
  const values = new Uint32Array(data, at + 4 * runs, runs);
  const codes = new (count + strange > 65535 ? Uint32Array : Uint16Array)(rows * columns);
  let place = 0;
  for (let run = 0; run < runs; run++) {
    const end = place + lengths[run];
    if (values[run]) codes.fill(values[run], place, end);
    place = end;
  }
  return { codes, extra };
}

interface Kept {
  promise: Promise<unknown>;
  bytes: number;
  /** Ends the request; null once it was answered. */
  ending: AbortController | null;
  /** Nobody has asked for it yet. */
  ahead: boolean;
}

/** Planes that were fetched, the least recently used forgotten first. */
export class Planes {
  private readonly kept = new Map<string, Kept>();
  private bytes = 0;

  constructor(
    private readonly token: string,
    private readonly count: number,
    private readonly shape: Triplet,
  ) {}

  labels(axis: number, index: number, ahead = false): Promise<Labels> {
    const address = `api/labels/${axis}/${index}?v=${this.token}`;
    return this.get(address, 2 * this.size(axis), (data) => unrolled(data, this.count), ahead);
  }

  sides(axis: number, index: number, ahead = false): Promise<Labels> {
    const address = `api/sides/${axis}/${index}?v=${this.token}`;
    return this.get(address, 2 * this.size(axis), (data) => unrolled(data, 3), ahead);
  }

  grey(image: number, axis: number, index: number, ahead = false): Promise<Uint8Array> {
    const address = `api/image/${image}/${axis}/${index}?v=${this.token}`;
    return this.get(address, this.size(axis), (data) => new Uint8Array(data, 8), ahead);
  }

  private size(axis: number): number {
    return this.shape.reduce((product, length, one) => (one === axis ? product : product * length), 1);
  }

  private get<T>(address: string, bytes: number, decode: (data: ArrayBuffer) => T, ahead: boolean): Promise<T> {
    const found = this.kept.get(address);
    if (found) {
      found.ahead &&= ahead;
      this.kept.delete(address);
      this.kept.set(address, found);
      return found.promise as Promise<T>;
    }
    if (!ahead) this.dropAhead();
    const ending = new AbortController();
    const options: RequestInit = { signal: ending.signal };
    if (ahead) Object.assign(options, { priority: "low", headers: { "X-Ahead": "1" } });
    const promise = ask(address, options)
      .then((answer) => answer.arrayBuffer())
      .then(decode);
    const kept: Kept = { promise, bytes, ending, ahead };
    this.kept.set(address, kept);
    this.bytes += bytes;
    promise.then(
      () => (kept.ending = null),
      () => this.forget(address, kept),
    );
    for (const [oldest, { ending: under_way }] of this.kept) {
      if (this.bytes <= KEPT_BYTES) break;
      if (!under_way) this.forget(oldest);
    }
    return promise;
  }

  /** What was fetched ahead steps back behind what somebody waits for. */
  private dropAhead(): void {
    for (const [address, { ahead, ending }] of this.kept) {
      if (!ahead || !ending) continue;
      this.forget(address);
      ending.abort();
    }
  }

  private forget(address: string, only?: Kept): void {
    const found = this.kept.get(address);
    if (!found || (only && found !== only)) return;
    this.kept.delete(address);
    this.bytes -= found.bytes;
  }
}
