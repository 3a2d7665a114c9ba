import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Link } from "wouter";
import { shown } from "@/jsx/shown";

const HIDING = "shop\u202etxt";

it("shows each character of a name, wherever it stands", () => {
  render(
    <>
      {HIDING}
      <p title={HIDING}>of {HIDING}</p>
      <Link href={`/ui/packages?name=${encodeURIComponent(HIDING)}`}>{HIDING}</Link>
      <button type="button" aria-label={`Cancel ${HIDING}`} />
      <select aria-label="Workspace">
        <option value={HIDING}>{HIDING}</option>
      </select>
      <ul>{[HIDING].map((name) => [name, " twice"])}</ul>
    </>,
  );
  expect(document.body.textContent).not.toContain("\u202e");
  expect(screen.getByText("of shop[U+202E]txt").title).toBe("shop[U+202E]txt");
  expect(screen.getByRole("button").getAttribute("aria-label")).toBe("Cancel shop[U+202E]txt");
  expect(screen.getByRole("list").textContent).toBe("shop[U+202E]txt twice");
});

it("leaves what is not shown as it is: a link leads to the same, a choice is of the same", () => {
  render(
    <>
      <Link href={`/ui/packages?name=${encodeURIComponent(HIDING)}`}>{HIDING}</Link>
      <option value={HIDING}>{HIDING}</option>
    </>,
  );
  expect(screen.getByRole("link").getAttribute("href")).toContain("shop%E2%80%AEtxt");
  expect(screen.getByRole<HTMLOptionElement>("option").value).toBe(HIDING);
});

it("keeps the ends of lines, and what hides nothing as the same object", () => {
  const props = { children: ["büro", ["مرحبا", 1]], title: "a\tb", value: HIDING };
  expect(shown(props)).toBe(props);
  expect(shown({ children: "one\r\ntwo\u200b" })).toEqual({ children: "one\ntwo[U+200B]" });
});
