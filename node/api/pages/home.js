"use strict";

const element = (id) => document.getElementById(id);
let token = "";

async function look() {
  const answer = await fetch("/api/session", { credentials: "same-origin" });
  element("stranger").hidden = answer.status !== 401;
  element("known").hidden = !answer.ok;
  if (!answer.ok) {
    if (answer.status !== 401) {
      element("error").textContent = `the node answered ${answer.status}`;
    }
    return;
  }
  const session = await answer.json();
  token = session.csrf || "";
  element("node").textContent = `BuildNet on ${session.node.name}`;
  element("actor").textContent = session.actor;
  element("rights").textContent = session.is_owner
    ? "everything: you own this host"
    : session.rights || "none";
  element("ends").textContent = session.ends ? new Date(session.ends).toLocaleString() : "";
  element("logout").hidden = !session.id;
  element("warning").textContent = session.warning || "";
  element("warning").hidden = !session.warning;
}

element("logout").addEventListener("submit", async (event) => {
  event.preventDefault();
  const headers = { "x-buildnet-csrf": token };
  await fetch("/api/session", { method: "DELETE", headers, credentials: "same-origin" });
  await look();
});

look().catch(() => {
  element("error").textContent = "the node does not answer";
});
