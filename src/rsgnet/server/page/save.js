// Downloads: the people as in poses.json, and the image with the people drawn over it.

import { isShown, personShapes } from "./people.js";

export function saveJson(view) {
  download(new Blob([JSON.stringify(view.results)], { type: "application/json" }), `${stem(view.name)}_poses.json`);
}

export async function saveImage(view, photo) {
  const canvas = Object.assign(document.createElement("canvas"), view.size);
  const context = canvas.getContext("2d");
  if (photo.naturalWidth) context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  context.lineCap = "round";
  for (const person of view.people.filter((each) => isShown(each, view.thresholds))) drawPerson(context, person, view);
  download(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${stem(view.name)}_poses.png`);
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function stem(name) {
  return name.replace(/^.*\//, "").replace(/\.[^.]*$/, "") || "image";
}

function drawPerson(context, person, view) {
  const { lines, dots, width } = personShapes(person, view.edges, view.thresholds, view.size);
  context.strokeStyle = context.fillStyle = person.colour;
  for (const { x1, y1, x2, y2, opacity } of lines) {
    context.globalAlpha = opacity;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }
  for (const { x, y, radius, filled, opacity } of dots) {
    context.globalAlpha = opacity;
    context.lineWidth = width / 3;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    if (filled) context.fill();
    context.stroke();
  }
}
