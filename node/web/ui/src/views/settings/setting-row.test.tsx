import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import type { Schema } from "@/api/client";
import { Toasts } from "@/components/toasts";
import { SettingRow } from "@/views/settings/setting-row";

const { put } = vi.hoisted(() => ({ put: vi.fn(async () => ({ data: undefined })) }));
vi.mock("@/api/client", () => ({ api: { PUT: put } }));

const setting = {
  key: "name",
  value: "anna",
  origin: "file",
  live: true,
  help: "what it is called",
} as Schema["Setting"];
const change = () => screen.getByRole("button", { name: "Change name" });

it("gives the focus back to the button that opened the field", async () => {
  render(
    <Toasts>
      <SettingRow setting={setting} onChanged={async () => {}} />
    </Toasts>,
  );
  expect(document.activeElement).toBe(document.body);
  for (const keys of ["{Escape}", "{Enter}"]) {
    await userEvent.click(change());
    await userEvent.keyboard(keys);
    expect(document.activeElement).toBe(change());
  }
});

it("says what the setting is for", () => {
  render(
    <Toasts>
      <SettingRow setting={setting} onChanged={async () => {}} />
    </Toasts>,
  );
  expect(screen.getByText("what it is called")).toBeDefined();
});

it("sends no number that is none", async () => {
  put.mockClear();
  render(
    <Toasts>
      <SettingRow setting={setting} onChanged={async () => {}} />
    </Toasts>,
  );
  await userEvent.click(change());
  await userEvent.clear(screen.getByRole("textbox"));
  await userEvent.keyboard("1e999{Enter}");
  expect(screen.getByRole("alert").textContent).toContain("1e999 is no number that can be kept");
  expect(put).not.toHaveBeenCalled();
});

it("shows a duration with its unit, and offers it so, and says how a list is written", async () => {
  const shown = (one: object) => (
    <Toasts>
      <SettingRow setting={{ ...setting, ...one }} onChanged={async () => {}} />
    </Toasts>
  );
  const { rerender } = render(shown({ value: 259200, text: "3d" }));
  expect(screen.getByText("3d")).toBeDefined();
  await userEvent.click(change());
  expect(screen.getByRole("textbox")).toHaveProperty("value", "3d");
  expect(screen.queryByText(/A list is written/)).toBeNull();
  rerender(shown({ value: ["a"], text: null }));
  expect(screen.getByText(/A list is written/)).toBeDefined();
});
