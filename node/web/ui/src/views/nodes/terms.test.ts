import { expect, it } from "vitest";
import { asCommand, changed, type TermsForm } from "@/views/nodes/terms";

const BEFORE: TermsForm = {
  tags: "lab",
  cores: "8",
  commands: "",
  memory: "",
  weight: "1",
  accept: "",
  hours: "",
};

it("asks for what was changed, and nothing else", () => {
  expect(changed(BEFORE, BEFORE)).toEqual({});
  expect(changed({ ...BEFORE, tags: "lab, gpu", cores: "4", accept: "no" }, BEFORE)).toEqual({
    tags: ["lab", "gpu"],
    max_cores: 4,
    accept_remote_builds: false,
  });
  expect(changed({ ...BEFORE, tags: "", cores: "" }, BEFORE)).toEqual({ tags: [] });
  expect(changed({ ...BEFORE, hours: "09:00-17:00", memory: "1.5" }, BEFORE)).toEqual({
    max_memory_gb: 1.5,
    local_only_hours: ["09:00-17:00"],
  });
});

it("says the same in a terminal", () => {
  const body = { tags: ["a", "b"], max_memory_gb: 8, accept_remote_builds: true };
  expect(asCommand("berta", body)).toBe(
    'buildnet server update berta --tag a --tag b --memory "8 GiB" --accept',
  );
});

it("lets no name become a command of its own", () => {
  expect(asCommand("x; reboot", { tags: ["$(id)"] })).toBe(
    "buildnet server update 'x; reboot' --tag '$(id)'",
  );
});
