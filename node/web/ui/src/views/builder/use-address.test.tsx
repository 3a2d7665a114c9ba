import { act, renderHook, screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { navigate } from "wouter/use-browser-location";
import { Problem } from "@/api/problem";
import { Toasts } from "@/components/toasts";
import { EMPTY } from "@/views/builder/draft";
import * as store from "@/views/builder/store";
import { useAddress } from "@/views/builder/use-address";

vi.mock("@/views/builder/calls", () => ({
  kept: async (id: string) => {
    if (id === "gone") throw new Problem("there is no gone", "NOT_FOUND", 404);
    return { draft: { ...EMPTY, id }, version: 3 };
  },
}));

const look = (search: string) => {
  history.replaceState(null, "", `/ui/builder${search}`);
  return renderHook(() => useAddress(store.useHistory().present.kept.id), { wrapper: Toasts });
};
const open = () => [store.present().kept.id, store.present().version, location.search];

beforeEach(store.forget);

test("a link opens what it names, whatever was shaped before", async () => {
  store.load({ ...EMPTY, id: "before" }, 1);
  look("?workspace=lab&config=dev");
  await waitFor(() => expect(open()).toEqual(["dev", 3, "?workspace=lab&config=dev"]));
  act(store.undo);
  expect(open()).toEqual(["before", 1, "?workspace=lab&config=before"]);
  act(() => navigate("/ui/builder?config=dev"));
  await waitFor(() => expect(open()).toEqual(["dev", 3, "?config=dev"]));
});

test("what is opened otherwise is named, and a new one has no name", () => {
  store.load({ ...EMPTY, id: "dev" }, 1);
  look("");
  expect(location.search).toBe("?config=dev");
  act(() => navigate("/ui/builder"));
  expect(location.search).toBe("?config=dev");
  act(() => store.load(EMPTY));
  expect(location.search).toBe("");
});

test("what is not kept is said, and leaves the address", async () => {
  look("?config=gone");
  expect(await screen.findByText("there is no gone")).toBeDefined();
  expect(open()).toEqual(["", null, ""]);
});
