/** Colours of tokens.css as pictures need them: #rrggbb, in the theme that the page has now. */
export type Token = (name: string) => string;

export function pageColours(): Token {
  const probe = document.createElement("span");
  document.body.append(probe);
  const pen = document
    .createElement("canvas")
    .getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  const known = new Map<string, string>();
  const read = (name: string): string => {
    probe.style.color = `var(${name})`;
    const colour = getComputedStyle(probe).color;
    if (pen === null) return colour;
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0] = pen.getImageData(0, 0, 1, 1).data;
    return `#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  };
  for (const name of TOKENS) known.set(name, read(name));
  probe.remove();
  return (name) => known.get(name) ?? "#808080";
}

const TOKENS = [
  "--ground",
  "--surface",
  "--raised",
  "--line",
  "--line-strong",
  "--text",
  "--text-soft",
  "--accent",
  "--good",
  "--warn",
  "--bad",
  "--calm",
  "--calm-soft",
  "--series-1",
  "--series-2",
  "--series-3",
  "--series-4",
  "--series-5",
] as const;
