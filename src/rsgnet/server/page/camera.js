// Takes a photo with the camera.

const dialog = document.querySelector("#camera-dialog");
const viewfinder = document.querySelector("#viewfinder");

// Returns the photo as { blob, name }, null if the user cancels. Throws an Error to show where there is no camera.
export async function takePhoto() {
  if (!navigator.mediaDevices) throw new Error("The camera needs https, or this service on the same machine.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, facingMode: "environment" } });
  } catch (error) {
    throw new Error(error.name === "NotAllowedError" ? "The camera was not allowed." : "There is no camera to use.");
  }
  try {
    viewfinder.srcObject = stream;
    await viewfinder.play();
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    return dialog.returnValue === "shoot" ? await captureFrame() : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    viewfinder.srcObject = null;
  }
}

async function captureFrame() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [viewfinder.videoWidth, viewfinder.videoHeight];
  canvas.getContext("2d").drawImage(viewfinder, 0, 0);
  return { blob: await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92)), name: "camera.jpg" };
}
