// What is asked of the service: every answer is either what was asked for or an Error with one line to show.

const TOKEN = "rsgnet-token";

async function call(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer; is it still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return call(path, options);
  }
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

async function reason(response) {
  const told = await response.json().catch(() => ({}));
  return told.error ?? `The service answered ${response.status}.`;
}

function askForToken() {
  const dialog = document.querySelector("#token-dialog");
  const field = document.querySelector("#token");
  return new Promise((resolve) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, field.value);
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

export async function about() {
  return (await call("v1/about")).json();
}

export async function findPoses(image, weights, signal) {
  const form = new FormData();
  form.append("images", image.blob, image.name);
  if (image.boxes) form.append("boxes", JSON.stringify([image.boxes]));
  const query = new URLSearchParams({ candidates: true, ...(weights && { weights }) });
  return (await call(`v1/poses?${query}`, { method: "POST", body: form, signal })).json();
}

export async function drawCrowd(crowdIndex, seed, signal) {
  const query = new URLSearchParams({ crowd_index: crowdIndex, seed });
  const blob = await (await call(`v1/crowd?${query}`, { signal })).blob();
  const truth = await (await call(`v1/crowd?${query}&truth=true`, { signal })).json();
  return { blob, truth, name: `crowd_${seed}.png` };
}
