import { expect, it } from "vitest";
import { comesFrom } from "@/views/access/comes-from";

it.each([
  [
    "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
    "10.0.0.7",
    "Edge from 10.0.0.7 (19c741)",
  ],
  ["Mozilla/5.0 (X11) Chrome/140.0 Safari/537.36", "::1", "Chrome from ::1 (19c741)"],
  ["curl/8.5.0", "10.0.0.7", "curl from 10.0.0.7 (19c741)"],
  ["", "", "on the node's host (19c741)"],
])("says with what and from where somebody comes: %s", (agent, address, words) => {
  expect(comesFrom({ id: "19c741e7fdd4", agent, address })).toBe(words);
});
