"use strict";

const byId = (id) => document.getElementById(id);

function element(kind, className = "", ...content) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

const nameOf = (schema) => schema.$ref.split("/").at(-1);

/** A schema as a person says it: "list of text". */
function inWords(schema) {
  if (!schema) return "";
  if (schema.$ref) return nameOf(schema);
  if (schema.anyOf) {
    return schema.anyOf.map(inWords).join(" or ");
  }
  if (schema.type === "array") return `list of ${inWords(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties?.type) {
    return `${inWords(schema.additionalProperties)} by name`;
  }
  if (schema.format === "binary") return "file";
  if (schema.format === "byte") return "base64 text";
  const words = { string: "text", integer: "whole number", boolean: "true or false" };
  return words[schema.type] ?? schema.type ?? "anything";
}

/** A table of its own name, which may be scrolled sideways by keyboard too. */
function table(caption, heads, rows) {
  const head = element("tr");
  for (const word of heads) {
    const cell = element("th", "", word);
    cell.scope = "col";
    head.append(cell);
  }
  const body = element("tbody");
  for (const [name, form, meaning] of rows) {
    const first = element("th", "", element("code", "", name));
    first.scope = "row";
    body.append(
      element("tr", "", first, element("td", "", form), element("td", "", meaning ?? "")),
    );
  }
  const scroll = element("div", "scroll", element("table", "", element("thead", "", head), body));
  Object.assign(scroll, { tabIndex: 0, role: "region", ariaLabel: caption });
  return scroll;
}

const FIELDS = ["Name", "Form", "Meaning"];

function fields(schema, caption) {
  return table(
    caption,
    FIELDS,
    Object.entries(schema.properties ?? {}).map(([name, own]) => [
      name,
      inWords(own),
      own.description,
    ]),
  );
}

function showRoute(path, method, route) {
  const card = element(
    "section",
    "card",
    element(
      "h3",
      "",
      element("span", "method", method.toUpperCase()),
      element("code", "", path),
    ),
    element("p", "small", route.description ?? route.summary),
  );
  if (route.parameters?.length) {
    card.append(element("h4", "", "Parameters"));
    const rows = route.parameters.map((p) => [p.name, inWords(p.schema), p.description]);
    card.append(table(`Parameters of ${path}`, FIELDS, rows));
  }
  for (const [kind, body] of Object.entries(route.requestBody?.content ?? {})) {
    card.append(element("h4", "", `Body, ${kind}`));
    card.append(
      body.schema.properties
        ? fields(body.schema, `Body of ${path}, ${kind}`)
        : element("p", "small", body.schema.description ?? ""),
    );
  }
  card.append(element("h4", "", "Answers"));
  const rows = Object.entries(route.responses).map(([status, response]) => {
    const forms = Object.entries(response.content ?? {}).map(([kind, { schema }]) =>
      kind === "application/json" ? inWords(schema) : kind,
    );
    return [status, forms.join(" or "), response.description];
  });
  card.append(table(`Answers of ${path}`, ["Status", "Form", "Meaning"], rows));
  byId("routes").append(card);
}

async function show() {
  const here = new URL(".", location.href).href.replace(/\/$/, "");
  for (const place of document.querySelectorAll("[data-command]")) {
    place.textContent = place.dataset.command.replace("HERE", here);
  }
  const description = await (await fetch("openapi.json")).json();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, route] of Object.entries(methods)) showRoute(path, method, route);
  }
  for (const [name, schema] of Object.entries(description.components.schemas)) {
    if (!schema.properties || name.includes("ValidationError")) continue;
    const card = element("section", "card", element("h3", "", name));
    card.append(element("p", "small", schema.description ?? ""), fields(schema, name));
    byId("forms").append(card);
  }
}

show();
