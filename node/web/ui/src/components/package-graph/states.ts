import type { GraphState } from "@/components/package-graph/shape";

interface Look {
  words: string;
  /** Drawn in 16 × 16. */
  path: string;
  /** Whether the picture is filled or drawn with a line. */
  filled: boolean;
  /** Token of its colour. */
  colour: string;
}

/** How each state looks: a picture, a colour and words, on the page and in what is exported. */
export const LOOKS: Record<GraphState, Look> = {
  waiting: {
    words: "waits",
    path: "M8 4.5V8l2.5 1.5M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Z",
    filled: false,
    colour: "--calm",
  },
  running: { words: "runs", path: "M5 3l8 5-8 5Z", filled: true, colour: "--accent" },
  built: { words: "built", path: "M3 8.5 6.5 12 13 4.5", filled: false, colour: "--good" },
  cached: {
    words: "from a cache",
    path: "M9.5 1.5 3.5 9h4l-1 5.5 6-7.5h-4Z",
    filled: true,
    colour: "--series-3",
  },
  unchanged: { words: "as before", path: "M3 6h10M3 10h10", filled: false, colour: "--calm" },
  failed: { words: "failed", path: "M4 4l8 8M12 4l-8 8", filled: false, colour: "--bad" },
  skipped: {
    words: "skipped",
    path: "M3 3.5 10 8l-7 4.5ZM12.5 3.5v9",
    filled: false,
    colour: "--warn",
  },
  cancelled: { words: "cancelled", path: "M4 4h8v8H4Z", filled: false, colour: "--warn" },
  planned: {
    words: "would run",
    path: "M5 3l8 5-8 5Z",
    filled: false,
    colour: "--series-4",
  },
  idle: {
    words: "package",
    path: "M8 1.5 2.5 4.5v7L8 14.5l5.5-3v-7ZM2.5 4.5 8 7.5l5.5-3M8 7.5v7",
    filled: false,
    colour: "--calm",
  },
};
