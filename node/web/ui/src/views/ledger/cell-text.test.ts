import { expect, it } from "vitest";
import { dateTime } from "@/format/format";
import { cellText } from "@/views/ledger/cell-text";

it("shows a derived table's values as people read them", () => {
  expect(cellText("created_at", 1795331743552)).toBe(dateTime(1795331743552));
  expect(cellText("is_template", 0)).toBe("no");
  expect(cellText("is_template", 1)).toBe("yes");
  expect(cellText("version", 1)).toBe("1");
  expect(cellText("height_at", 12)).toBe("12");
  expect(cellText("changed_by", null)).toBe("");
  expect(cellText("tags", ["a"])).toBe('["a"]');
});
