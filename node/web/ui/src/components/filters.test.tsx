import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Choice } from "@/components/filters";

it("shows what the address filters by, also where it is none of the choices", () => {
  render(<Choice label="Status" value="gone" options={["", "online"]} onChange={() => {}} />);
  const select = screen.getByLabelText<HTMLSelectElement>("Status");
  expect(select.value).toBe("gone");
  expect([...select.options].map((option) => option.text)).toEqual(["any", "online", "gone"]);
});
