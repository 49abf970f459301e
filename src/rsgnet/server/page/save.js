// Downloads: the answer as poses.json has it, and the image with the people drawn over it.

import { isShown, shapes } from "./people.js";

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const stem = (name) => name.replace(/^.*\//, "").replace(/\.[^.]*$/, "") || "image";

export function saveJson(view) {
  download(new Blob([JSON.stringify(view.results)], { type: "application/json" }), `${stem(view.name)}_poses.json`);
}

export async function saveImage(view, photo) {
  const canvas = Object.assign(document.createElement("canvas"), view.size);
  const pen = canvas.getContext("2d");
  if (photo.naturalWidth) pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  pen.lineCap = "round";
  for (const person of view.people.filter((each) => isShown(each, view.from))) drawPerson(pen, person, view);
  download(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${stem(view.name)}_poses.png`);
}

function drawPerson(pen, person, view) {
  const { lines, dots, width } = shapes(person, view.edges, view.from, view.size);
  pen.strokeStyle = pen.fillStyle = person.colour;
  for (const { x1, y1, x2, y2, opacity } of lines) {
    pen.globalAlpha = opacity;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    pen.stroke();
  }
  for (const { x, y, radius, full, opacity } of dots) {
    pen.globalAlpha = opacity;
    pen.lineWidth = width / 3;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    if (full) pen.fill();
    pen.stroke();
  }
}
