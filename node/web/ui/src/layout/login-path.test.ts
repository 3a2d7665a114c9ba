import { expect, it } from "vitest";
import { backTo, loginPath } from "@/layout/login-path";

it("leads back to where somebody was, to the line of a log", () => {
  history.replaceState(null, "", "/ui/builds/60df?tab=log&task=a%20b#L12-L20");
  const { pathname, search } = new URL(loginPath(), location.origin);
  expect(pathname).toBe("/login");
  expect(backTo(search)).toBe("/ui/builds/60df?tab=log&task=a%20b#L12-L20");
});

it.each(["https://attacker.example/ui/", "//attacker.example/ui/", "/api/docs", "javascript:x"])(
  "leads nobody to %s",
  (target) => {
    expect(backTo(`?to=${encodeURIComponent(target)}`)).toBe("/");
  },
);
