import { type LayoutAsk, layout } from "@/components/package-graph/layout";

// Ways around a hundred packages take a while: the page does not wait for them.
addEventListener("message", (event: MessageEvent<LayoutAsk>) => {
  postMessage({ number: event.data.number, places: layout(event.data) });
});
