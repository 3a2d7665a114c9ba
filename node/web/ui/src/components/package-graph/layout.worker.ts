import { type LayoutAsk, layout } from "@/components/package-graph/layout";

// Layers of a thousand packages take a second: the page does not wait for them.
addEventListener("message", (event: MessageEvent<LayoutAsk>) => {
  postMessage({ number: event.data.number, places: layout(event.data) });
});
