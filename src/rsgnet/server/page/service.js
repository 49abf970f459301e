// Requests to the service. Every function returns what was asked for, or throws an Error with one line to show.

const TOKEN_KEY = "rsgnet-token";

// Returns the version, the networks and the limits of the service.
export async function fetchAbout() {
  return (await request("v1/about")).json();
}

export async function findPoses(image, weights, signal) {
  const form = new FormData();
  form.append("images", image.blob, image.name);
  if (image.boxes) form.append("boxes", JSON.stringify([image.boxes]));
  const query = new URLSearchParams({ candidates: true, ...(weights && { weights }) });
  return (await request(`v1/poses?${query}`, { method: "POST", body: form, signal })).json();
}

// Returns a drawn crowd: its image, name and annotations.
export async function drawCrowd(crowdIndex, seed, signal) {
  const query = new URLSearchParams({ crowd_index: crowdIndex, seed });
  const blob = await (await request(`v1/crowd?${query}`, { signal })).blob();
  const truth = await (await request(`v1/crowd?${query}&truth=true`, { signal })).json();
  return { blob, truth, name: `crowd_${seed}.png` };
}

async function request(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not respond; is it still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return request(path, options);
  }
  if (!response.ok) throw new Error(await readError(response));
  return response;
}

async function readError(response) {
  const body = await response.json().catch(() => ({}));
  return body.error ?? `The service responded with status ${response.status}.`;
}

function askForToken() {
  const dialog = document.querySelector("#token-dialog");
  const field = document.querySelector("#token");
  return new Promise((resolve) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN_KEY, field.value);
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}
