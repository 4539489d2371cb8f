// The 3-D view: surfaces of regions, the three slices, points. Loaded after the slices stand.

import {
  AmbientLight,
  BufferAttribute,
  BufferGeometry,
  Color,
  DirectionalLight,
  DoubleSide,
  Group,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  MeshLambertMaterial,
  PerspectiveCamera,
  Points,
  PointsMaterial,
  Raycaster,
  Scene,
  SRGBColorSpace,
  CanvasTexture,
  LinearFilter,
  Vector2,
  Vector3,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { worldAxes } from "./geometry";
import type { Atlas, Triplet } from "./model";
import type { Pane } from "./pane";
import { CAMERA, type Store } from "./state";
import { surface } from "./wire";

export interface SolidEvents {
  hover(code: number, x: number, y: number): void;
  choose(code: number, place_um: Triplet): void;
  failed(error: unknown): void;
}

const MOVED = 4;
const FIELD = 32; // degrees
const TEXTURE = 640; // pixels; a slice of 10 µm has more than the view shows

export class Solid {
  private readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(FIELD, 1, 0.01, 100);
  private readonly controls: OrbitControls;
  private readonly body = new Group(); // in µm and the atlas's axes
  private readonly meshes = new Map<number, Mesh>();
  private readonly asked = new Set<number>();
  private readonly slabs = new Map<Pane, Mesh>();
  private readonly lamp = new DirectionalLight(0xffffff, 2.2);
  private cloud: Points | null = null;
  private queued = 0;
  private wanted: ReadonlySet<number> = new Set();
  private colourOf: (code: number) => Triplet = () => [200, 200, 200];
  private moving = false;
  private readonly distance: number;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly atlas: Atlas,
    private readonly store: Store,
    private readonly events: SolidEvents,
  ) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.outputColorSpace = SRGBColorSpace;
    const extent = atlas.shape.map((length, axis) => length * atlas.spacing[axis]);
    const size = Math.max(...extent);
    this.place(extent as Triplet, size);
    this.scene.add(this.body, new AmbientLight(0xffffff, 1.3), this.lamp);
    this.distance = 1.72;
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = true;
    this.controls.minDistance = 0.2;
    this.controls.maxDistance = 8;
    this.controls.addEventListener("change", () => this.render());
    this.controls.addEventListener("end", () => this.tellCamera());
    this.aim(store.state.camera);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  private place(extent: Triplet, size: number): void {
    const rows = worldAxes(this.atlas.about.orientation).map(([axis, sign]) => {
      const row = [0, 0, 0, 0];
      row[axis] = sign / size;
      row[3] = (-sign * extent[axis]) / (2 * size);
      return row;
    });
    const [a, b, c] = rows;
    this.body.matrix = new Matrix4().set(
      a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], 0, 0, 0, 1,
    );
    this.body.matrixAutoUpdate = false;
    this.body.updateMatrixWorld(true);
  }

  /** Angles in degrees from the front and from above, and the distance. */
  private aim([azimuth, polar, far]: Triplet): void {
    const [round, high] = [(azimuth * Math.PI) / 180, (polar * Math.PI) / 180];
    const away = far * this.distance;
    this.controls?.target.set(0, 0, 0);
    this.camera.position.set(
      away * Math.sin(high) * Math.sin(round),
      away * Math.cos(high),
      away * Math.sin(high) * Math.cos(round),
    );
    this.camera.lookAt(0, 0, 0);
    this.controls?.update();
    this.render();
  }

  private tellCamera(): void {
    const degrees = 180 / Math.PI;
    this.moving = true;
    this.store.set({
      camera: [
        Math.round(this.controls.getAzimuthalAngle() * degrees),
        Math.round(this.controls.getPolarAngle() * degrees),
        +(this.controls.getDistance() / this.distance).toFixed(2),
      ],
    });
    this.moving = false;
  }

  followCamera(): void {
    if (!this.moving) this.aim(this.store.state.camera);
  }

  /** Show these structures, in these colours; what is missing is fetched. */
  show(codes: ReadonlySet<number>, colourOf: (code: number) => Triplet): void {
    this.wanted = codes;
    this.colourOf = colourOf;
    for (const code of codes) if (!this.meshes.has(code)) void this.fetch(code);
    for (const [code, mesh] of this.meshes) {
      mesh.visible = codes.has(code);
      this.colour(code, mesh);
    }
    this.render();
  }

  private async fetch(code: number): Promise<void> {
    if (this.asked.has(code)) return;
    this.asked.add(code);
    try {
      const { points, triangles } = await surface(code, this.atlas.about.token);
      const shape = new BufferGeometry();
      shape.setAttribute("position", new BufferAttribute(points, 3));
      shape.setIndex(new BufferAttribute(triangles, 1));
      shape.computeVertexNormals();
      const material = new MeshLambertMaterial({ side: DoubleSide });
      const mesh = new Mesh(shape, material);
      mesh.userData.code = code;
      mesh.matrixAutoUpdate = false;
      if (code === 1) {
        material.transparent = true;
        material.opacity = 0.13;
        material.depthWrite = false;
        mesh.renderOrder = 2;
      }
      this.meshes.set(code, mesh);
      mesh.visible = this.wanted.has(code);
      this.colour(code, mesh);
      this.body.add(mesh);
      this.render();
    } catch (error) {
      this.asked.delete(code);
      this.events.failed(error);
    }
  }

  private colour(code: number, mesh: Mesh): void {
    const [red, green, blue] = code === 1 ? [170, 178, 190] : this.colourOf(code);
    const material = mesh.material as MeshLambertMaterial;
    material.color = new Color().setRGB(red / 255, green / 255, blue / 255, SRGBColorSpace);
  }

  /** Put the picture of a slice where it lies. */
  slab(pane: Pane, visible: boolean): void {
    let slab = this.slabs.get(pane);
    if (!slab) {
      const part = Math.min(1, TEXTURE / Math.max(pane.picture.width, pane.picture.height));
      const small = document.createElement("canvas");
      small.width = Math.round(pane.picture.width * part);
      small.height = Math.round(pane.picture.height * part);
      const texture = new CanvasTexture(small);
      texture.colorSpace = SRGBColorSpace;
      texture.generateMipmaps = false;
      texture.minFilter = texture.magFilter = LinearFilter;
      const material = new MeshBasicMaterial({ map: texture, side: DoubleSide, alphaTest: 0.1 });
      slab = new Mesh(new BufferGeometry(), material);
      slab.userData.pane = pane;
      slab.matrixAutoUpdate = false;
      slab.geometry.setAttribute("uv", new BufferAttribute(new Float32Array([0, 1, 1, 1, 0, 0, 1, 0]), 2));
      slab.geometry.setIndex([0, 1, 2, 2, 1, 3]);
      this.slabs.set(pane, slab);
      this.body.add(slab);
    }
    slab.visible = visible;
    // Beside regions that somebody chose, slices step back.
    const material = slab.material as MeshBasicMaterial;
    const faint = [...this.wanted].some((code) => code !== 1);
    material.opacity = faint ? 0.3 : 1;
    if (material.transparent !== faint) {
      material.transparent = faint;
      material.depthWrite = !faint;
      material.needsUpdate = true;
    }
    if (visible && pane.shown) {
      slab.geometry.setAttribute("position", new BufferAttribute(this.corners(pane), 3));
      slab.geometry.computeBoundingSphere();
      const texture = material.map as CanvasTexture<HTMLCanvasElement>;
      const small = texture.image;
      const pen = small.getContext("2d")!;
      pen.clearRect(0, 0, small.width, small.height);
      pen.drawImage(pane.picture, 0, 0, small.width, small.height);
      texture.needsUpdate = true;
    }
    this.render();
  }

  private corners(pane: Pane): Float32Array {
    const { view } = pane;
    const { shape, spacing } = this.atlas;
    const corners: number[] = [];
    for (const [row, column] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const place = [0, 0, 0];
      place[view.axis] = (pane.shown!.index + 0.5) * spacing[view.axis];
      const end = (axis: number, at: number, flip: boolean) =>
        (flip ? 1 - at : at) * shape[axis] * spacing[axis];
      place[view.rows] = end(view.rows, row, view.flipRows);
      place[view.columns] = end(view.columns, column, view.flipColumns);
      corners.push(...place);
    }
    return new Float32Array(corners);
  }

  setPoints(points: Float32Array): void {
    if (this.cloud) {
      this.body.remove(this.cloud);
      this.cloud.geometry.dispose();
      this.cloud = null;
    }
    if (points.length) {
      const shape = new BufferGeometry();
      shape.setAttribute("position", new BufferAttribute(points, 3));
      const material = new PointsMaterial({ color: 0xffd83d, size: 2.5, sizeAttenuation: false });
      this.cloud = new Points(shape, material);
      this.cloud.matrixAutoUpdate = false;
      this.body.add(this.cloud);
    }
    this.render();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.setSize(clientWidth, clientHeight, false);
    const aspect = clientWidth / clientHeight;
    this.camera.aspect = aspect;
    // The brain fits across a narrow view too.
    const half = Math.tan((FIELD * Math.PI) / 360) / Math.min(aspect, 1);
    this.camera.fov = (Math.atan(half) * 360) / Math.PI;
    this.camera.updateProjectionMatrix();
    this.renderNow();
  }

  /** Draw once in the next frame; nothing runs while nothing changes. */
  render(): void {
    if (this.queued) return;
    this.queued = requestAnimationFrame(() => {
      this.queued = 0;
      this.renderNow();
    });
  }

  renderNow(): void {
    this.lamp.position.copy(this.camera.position).add(new Vector3(0.4, 0.8, 0.2));
    this.renderer.render(this.scene, this.camera);
  }

  get shownMeshes(): number[] {
    return [...this.meshes].filter(([, mesh]) => mesh.visible).map(([code]) => code);
  }

  private hit(clientX: number, clientY: number): { code: number; place: Triplet } | null {
    const box = this.canvas.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * 2 - 1;
    const y = 1 - ((clientY - box.top) / box.height) * 2;
    // What was added or turned since the last frame lies where that frame left it.
    this.scene.updateMatrixWorld();
    this.camera.updateMatrixWorld();
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2(x, y), this.camera);
    const solid = [...this.meshes].filter(([code, mesh]) => code !== 1 && mesh.visible);
    const slabs = [...this.slabs.values()].filter((slab) => slab.visible);
    for (const found of ray.intersectObjects([...solid.map(([, mesh]) => mesh), ...slabs], false)) {
      const local = this.body.worldToLocal(found.point.clone());
      const place: Triplet = [local.x, local.y, local.z];
      const { code } = found.object.userData as { code?: number };
      if (code) return { code, place };
      const pane = (found.object.userData as { pane: Pane }).pane;
      const seen = pane.seenVoxel(this.atlas.voxelAt(place));
      if (seen && seen.code > 0) return { code: seen.code, place };
    }
    return null;
  }

  private listen(): void {
    const { canvas } = this;
    let start: [number, number] = [0, 0];
    let waiting = false;
    canvas.addEventListener("pointerdown", (event) => {
      start = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointerup", (event) => {
      if (event.button !== 0) return;
      if (Math.hypot(event.clientX - start[0], event.clientY - start[1]) > MOVED) return;
      const found = this.hit(event.clientX, event.clientY);
      if (found) this.events.choose(found.code, found.place);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons || waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        const found = this.hit(event.clientX, event.clientY);
        this.events.hover(found?.code ?? 0, event.clientX, event.clientY);
      });
    });
    canvas.addEventListener("pointerleave", () => this.events.hover(0, 0, 0));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const [azimuth, polar, far] = this.store.state.camera;
    const by = event.shiftKey ? 30 : 8;
    const bound = (one: number) => Math.min(Math.max(one, 1), 179);
    const turns: Record<string, Triplet> = {
      ArrowLeft: [azimuth - by, polar, far],
      ArrowRight: [azimuth + by, polar, far],
      ArrowUp: [azimuth, bound(polar - by), far],
      ArrowDown: [azimuth, bound(polar + by), far],
      "+": [azimuth, polar, far * 0.85],
      "=": [azimuth, polar, far * 0.85],
      "-": [azimuth, polar, far * 1.18],
      "0": CAMERA,
    };
    const camera = turns[event.key];
    if (!camera || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.store.set({ camera });
  }
}
