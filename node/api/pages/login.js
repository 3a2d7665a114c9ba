"use strict";

// The code stands behind the #, which no browser sends anywhere; it leaves the address bar at once.
const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

const element = (id) => document.getElementById(id);
element("here").textContent = location.host;
element("with-link").hidden = !code;
element("with-text").hidden = Boolean(code);
if (location.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
  element("warning").textContent = "This page came without TLS: who is on the way can read what you send.";
  element("warning").hidden = false;
}

async function ask(path, headers, body) {
  const answer = await fetch(path, { method: "POST", headers, body, credentials: "same-origin" });
  if (answer.ok) {
    location.replace("/");
    return;
  }
  const problem = await answer.json().catch(() => ({}));
  const said = [problem.detail || `the node answered ${answer.status}`, problem.hint];
  element("error").textContent = said.filter(Boolean).join(" — ");
  element("with-link").hidden = true;
  element("with-text").hidden = false;
}

const withCode = (text) =>
  ask("/api/login", { "content-type": "application/json" }, JSON.stringify({ code: text }));
const withKey = (text) => ask("/api/session", { authorization: `Bearer ${text}` });

function onSubmit(id, send) {
  element(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    element("error").textContent = "";
    const button = event.target.querySelector("button");
    button.disabled = true;
    try {
      await send();
    } catch {
      element("error").textContent = "the node does not answer";
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit("with-link", () => withCode(code));
onSubmit("with-text", () => {
  const text = element("text").value.trim();
  return text.startsWith("v4.public.") ? withKey(text) : withCode(text);
});
