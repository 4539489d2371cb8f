// A picture of what is shown: the four views side by side, with what they show written below.

export function compose(
  canvases: HTMLCanvasElement[],
  edges: HTMLElement[],
  caption: string,
  background: string,
): HTMLCanvasElement {
  const shown = canvases.filter((canvas) => canvas.width && canvas.height && canvas.offsetParent);
  const frame = document.createElement("canvas");
  const pen = frame.getContext("2d")!;
  const boxes = shown.map((canvas) => canvas.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const right = Math.max(...boxes.map((box) => box.right));
  const bottom = Math.max(...boxes.map((box) => box.bottom));
  const ratio = Math.max(2, window.devicePixelRatio || 1);
  const foot = 26;
  frame.width = Math.round((right - left) * ratio);
  frame.height = Math.round((bottom - top + foot) * ratio);
  pen.scale(ratio, ratio);
  pen.fillStyle = background;
  pen.fillRect(0, 0, frame.width, frame.height);
  shown.forEach((canvas, at) => {
    const box = boxes[at];
    pen.fillStyle = canvas.dataset.paper ?? "#000";
    pen.fillRect(box.left - left, box.top - top, box.width, box.height);
    pen.drawImage(canvas, box.left - left, box.top - top, box.width, box.height);
  });
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const edge of edges.filter((one) => one.offsetParent)) {
    const box = edge.getBoundingClientRect();
    const { color, font } = getComputedStyle(edge);
    Object.assign(pen, { fillStyle: color, font });
    pen.fillText(edge.textContent, box.left - left + box.width / 2, box.top - top + box.height / 2);
  }
  pen.textAlign = "start";
  pen.textBaseline = "alphabetic";
  pen.fillStyle = "#888";
  pen.font = "12px system-ui, sans-serif";
  pen.fillText(caption, 8, bottom - top + 17);
  return frame;
}

export function save(picture: HTMLCanvasElement, name: string): Promise<void> {
  return new Promise((done) => {
    picture.toBlob((blob) => {
      if (blob) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = name;
        link.click();
        window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      }
      done();
    }, "image/png");
  });
}
