// Shows the service's description, openapi.json, to people.

const url = new URL("v1/poses", location.href);
document.querySelector("#example").textContent = `curl -F images=@photo.jpg -F images=@other.jpg ${url}`;
try {
  const description = await (await fetch("openapi.json")).json();
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationSection(path, method, operation)));
  const models = Object.entries(description.components.schemas)
    .filter(([name]) => name.endsWith("Response") || name === "Limits")
    .map(([name, schema]) => modelSection(name, schema));
  document.querySelector("#operations").replaceChildren(...operations, ...models);
} catch {
  const error = document.querySelector("#error");
  error.textContent = "The service does not respond; is it still running?";
  error.hidden = false;
}

function operationSection(path, method, operation) {
  const inputs = inputRows(operation);
  return element("section",
    element("h2", element("code", `${method.toUpperCase()} ${path}`)),
    element("p", `${operation.summary}.`),
    ...(inputs.length ? [table(["Input", "Type", ""], inputs)] : []),
    table(["Response", "Type", ""], responseRows(operation)));
}

function modelSection(name, { properties = {} }) {
  const rows = Object.entries(properties).map(([field, schema]) => [field, typeName(schema)]);
  return element("section", element("h2", element("code", name)), table(["Field", "Type"], rows));
}

function inputRows(operation) {
  const parameters = (operation.parameters ?? []).map(({ name, schema, description }) => [
    name, typeName(schema), [description ?? "", "default" in schema ? ` Default ${schema.default}.` : ""].join(""),
  ]);
  const form = operation.requestBody?.content["multipart/form-data"].schema.properties ?? {};
  const fields = Object.entries(form).map(([name, field]) => [name, `form: ${typeName(field)}`, field.description]);
  return [...fields, ...parameters];
}

function responseRows(operation) {
  return Object.entries(operation.responses).map(([status, { description, content }]) => [
    status,
    Object.entries(content ?? {})
      .map(([mediaType, { schema }]) => (schema?.$ref || schema?.anyOf ? typeName(schema) : mediaType))
      .join(" or "),
    description ?? "",
  ]);
}

function typeName({ type, anyOf, $ref, items }) {
  if (anyOf) return anyOf.map(typeName).filter((name) => name !== "null").join(" or ");
  if ($ref) return $ref.replace(/.*\//, "");
  return items ? `list of ${typeName(items)}` : (type ?? "anything");
}

function table(headings, rows) {
  return element("table",
    element("thead", element("tr", ...headings.map((text) => element("th", text)))),
    element("tbody", ...rows.map((cells) => element("tr", ...cells.map((cell) => element("td", cell))))));
}

function element(name, ...children) {
  const created = document.createElement(name);
  created.append(...children);
  return created;
}
