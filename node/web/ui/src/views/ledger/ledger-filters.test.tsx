import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { LedgerFilters } from "@/views/ledger/ledger-filters";
import { StateAt } from "@/views/ledger/state-at";

vi.mock("@/api/client", () => ({ query: { useQuery: () => ({ error: null }) } }));
vi.mock("@/views/ledger/names", () => ({ useNodeNames: () => new Map() }));

beforeEach(() => history.replaceState(null, "", "/ui/ledger"));

it("keeps the focus in the box of the actor that is asked for", async () => {
  render(<LedgerFilters shown={0} hasMore={false} names={new Map()} />);
  const box = screen.getByLabelText("By");
  await userEvent.type(box, "ann{Enter}");
  expect(location.search).toBe("?actor=ann");
  expect(document.activeElement).toBe(box);
  await userEvent.type(box, "a");
  expect((screen.getByLabelText("By") as HTMLInputElement).value).toBe("anna");
});

it("keeps the focus where the question about a state was sent", async () => {
  render(<StateAt />);
  const box = screen.getByLabelText(/^What/);
  await userEvent.type(box, "node:anna{Enter}");
  expect(location.search).toBe("?entity=node%3Aanna");
  expect(document.activeElement).toBe(box);
});
