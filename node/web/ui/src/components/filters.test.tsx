import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Choice, FilterBar } from "@/components/filters";

it("shows what the address filters by, also where it is none of the choices", () => {
  render(<Choice label="Status" value="gone" options={["", "online"]} onChange={() => {}} />);
  const select = screen.getByLabelText<HTMLSelectElement>("Status");
  expect(select.value).toBe("gone");
  expect([...select.options].map((option) => option.text)).toEqual(["any", "online", "gone"]);
});

it.each<[number | null, number | null, string]>([
  [1, 1, "1 entry"],
  [2, 2, "2 entries"],
  [0, 1, "0 of 1 entry"],
  [1, 3, "1 of 3 entries"],
  [50, null, "50 entries shown, more follow"],
  [null, null, "how many entries is not known"],
])("tells of %s shown and %s in all: %s", (shown, total, words) => {
  render(
    <FilterBar shown={shown} total={total} noun="entry" many="entries">
      {null}
    </FilterBar>,
  );
  expect(screen.getByRole("status").textContent).toBe(words);
});
