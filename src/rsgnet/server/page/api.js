// The service's own description, openapi.json, to be read by people.

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function table(headings, rows) {
  return element("table",
    element("thead", element("tr", ...headings.map((text) => element("th", text)))),
    element("tbody", ...rows.map((cells) => element("tr", ...cells.map((cell) => element("td", cell))))));
}

function typeName({ type, anyOf, $ref, items }) {
  if (anyOf) return anyOf.map(typeName).filter((name) => name !== "null").join(" or ");
  if ($ref) return $ref.replace(/.*\//, "");
  return items ? `list of ${typeName(items)}` : (type ?? "anything");
}

function inputs(operation) {
  const parameters = (operation.parameters ?? []).map(({ name, schema, description }) => [
    name, typeName(schema), [description ?? "", "default" in schema ? ` Default ${schema.default}.` : ""].join(""),
  ]);
  const form = operation.requestBody?.content["multipart/form-data"].schema.properties ?? {};
  const fields = Object.entries(form).map(([name, field]) => [name, `form: ${typeName(field)}`, field.description]);
  return [...fields, ...parameters];
}

function outputs(operation) {
  return Object.entries(operation.responses).map(([status, { description, content }]) => [
    status,
    Object.entries(content ?? {}).map(([kind, { schema }]) => (schema?.$ref || schema?.anyOf ? typeName(schema) : kind)).join(" or "),
    description ?? "",
  ]);
}

function section(path, method, operation) {
  const given = inputs(operation);
  return element("section",
    element("h2", element("code", `${method.toUpperCase()} ${path}`)),
    element("p", `${operation.summary}.`),
    ...(given.length ? [table(["Given", "Kind", ""], given)] : []),
    table(["Answer", "Kind", ""], outputs(operation)));
}

function model(name, { properties = {} }) {
  const rows = Object.entries(properties).map(([field, schema]) => [field, typeName(schema)]);
  return element("section", element("h2", element("code", name)), table(["Field", "Kind"], rows));
}

const here = new URL("v1/poses", location.href);
document.querySelector("#example").textContent = `curl -F images=@photo.jpg -F images=@other.jpg ${here}`;
try {
  const description = await (await fetch("openapi.json")).json();
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(path, method, operation)));
  const models = Object.entries(description.components.schemas)
    .filter(([name]) => name.endsWith("Answer") || name === "Limits")
    .map(([name, schema]) => model(name, schema));
  document.querySelector("#operations").replaceChildren(...operations, ...models);
} catch {
  const fault = document.querySelector("#fault");
  fault.textContent = "The service does not answer; is it still running?";
  fault.hidden = false;
}
