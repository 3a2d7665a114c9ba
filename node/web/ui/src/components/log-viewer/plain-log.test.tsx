import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it } from "vitest";
import { LogText } from "@/components/log-viewer/log-text";
import { LogViewer } from "@/components/log-viewer/log-viewer";
import { Toasts } from "@/components/toasts";

it("goes to a line of the plain text, on whichever of its pages that is", async () => {
  history.replaceState(null, "", "/ui/logs");
  const text = new LogText();
  text.append(Array.from({ length: 5_000 }, (_, place) => `this is ${place + 1}\n`).join(""));
  render(
    <Toasts>
      <LogViewer text={text} label="log" isLive={false} />
    </Toasts>,
  );
  await userEvent.click(screen.getByRole("button", { name: /plain/i }));
  const box = screen.getByLabelText("log, plain text") as HTMLTextAreaElement;
  const chosen = () => box.value.slice(box.selectionStart, box.selectionEnd);
  expect(box.value.startsWith("this is 1\n")).toBe(true);
  await userEvent.type(screen.getByLabelText(/^Go to line/), "4321{Enter}");
  expect(chosen()).toBe("this is 4321");
  await userEvent.clear(screen.getByLabelText(/^Go to line/));
  await userEvent.type(screen.getByLabelText(/^Go to line/), "17{Enter}");
  expect(chosen()).toBe("this is 17");
});
