import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { TextField } from "@/components/field";

const shown = (value: string) =>
  render(<TextField label="Name" hint="a name" maxLength={4} value={value} onChange={() => {}} />);
const box = () => screen.getByLabelText<HTMLInputElement>("Name");

it("keeps what is too long, says so, and is refused by its form", () => {
  shown("long name");
  expect([box().value, box().validity.customError]).toEqual(["long name", true]);
  expect(screen.getByRole("alert").textContent).toBe("9 characters are too many: 4 at most");
});

it("takes what is as long as may be", () => {
  shown("long");
  expect([box().checkValidity(), screen.queryByRole("alert")]).toEqual([true, null]);
});
