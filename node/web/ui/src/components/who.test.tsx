import { render } from "@testing-library/react";
import { expect, it } from "vitest";
import { whoText } from "@/format/who";
import { Who } from "./who";

it.each([
  ["root", "root", "root"],
  ["local", "local", "local"],
  ["account:ben", "ben account", "ben (account)"],
  ["agent:ci", "ci agent", "ci (agent)"],
  ["root@studio", "root@studio", "root@studio"],
  ["agent:", "agent:", "agent:"],
  ["auto:x", "auto:x", "auto:x"],
])("calls %s %s", (actor, shown, text) => {
  const { container } = render(<Who actor={actor} />);
  expect(container.textContent).toBe(shown);
  expect(whoText(actor)).toBe(text);
});

it("tells the whole name too", () => {
  const { getByTitle } = render(<Who actor="account:ben" />);
  expect(getByTitle("account:ben")).toBeTruthy();
});
