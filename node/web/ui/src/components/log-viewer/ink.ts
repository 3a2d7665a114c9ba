import Anser from "anser";

/** How text is drawn: classes of log-viewer.css, and colours beyond the sixteen of the theme. */
export interface Ink {
  className: string;
  /** "r, g, b". */
  color: string | null;
  background: string | null;
}

type Said = Pick<
  Anser.AnserJsonEntry,
  "fg" | "bg" | "fg_truecolor" | "bg_truecolor" | "decorations"
>;

const KEPT = 1_000;
const LEVELS = [0, 95, 135, 175, 215, 255];

/** A state of a terminal's colours; there is one object of each that is in use. */
export class Pen {
  private readonly following = new Map<string, Pen>();

  private constructor(
    private readonly said: Partial<Said>,
    readonly ink: Ink,
  ) {}

  static readonly PLAIN = new Pen({}, { className: "", color: null, background: null });
  private static readonly known = new Map<string, Pen>();

  /** The state after a "select graphic rendition" sequence: "1;31" is bold and red. */
  after(parameters: string): Pen {
    let found = this.following.get(parameters);
    if (found === undefined) {
      if (this.following.size >= KEPT) this.following.clear();
      found = this.read(parameters);
      this.following.set(parameters, found);
    }
    return found;
  }

  private read(parameters: string): Pen {
    const anser = Object.assign(new Anser(), this.said, {
      decorations: [...(this.said.decorations ?? [])],
    });
    const { fg, bg, fg_truecolor, bg_truecolor, decorations } = anser.processChunkJson(
      `${withSemicolons(parameters)}m`,
      { use_classes: true },
      true,
    );
    const said = { fg, bg, fg_truecolor, bg_truecolor, decorations: [...new Set(decorations)] };
    if (fg === null && bg === null && said.decorations.length === 0) return Pen.PLAIN;
    const key = JSON.stringify(said);
    let found = Pen.known.get(key);
    if (found === undefined) {
      if (Pen.known.size >= KEPT) Pen.known.clear();
      found = new Pen(said, inkOf(said));
      Pen.known.set(key, found);
    }
    return found;
  }
}

/** The newer way to write colours, with colons, as the older one. */
function withSemicolons(parameters: string): string {
  return parameters
    .replace(/([34]8):2:\d*:(\d+):(\d+):(\d+)/g, "$1;2;$2;$3;$4")
    .replace(/([34]8):5:(\d+)/g, "$1;5;$2")
    .replace(/\b4:0\b/g, "24")
    .replace(/\b4:\d\b/g, "4");
}

function inkOf(said: Said): Ink {
  const classes: string[] = said.decorations.filter((name) => name !== "blink");
  const color = colored(said.fg, said.fg_truecolor, "ink", classes);
  const background = colored(said.bg, said.bg_truecolor, "paper", classes);
  return { className: classes.join(" "), color, background };
}

/** Add the class of one of the sixteen colours; or of any colour, and return that one. */
function colored(
  name: string | null,
  exact: string | null,
  use: "ink" | "paper",
  classes: string[],
): string | null {
  if (name === null) return null;
  const palette = /^ansi-palette-(\d+)$/.exec(name);
  if (palette === null && name !== "ansi-truecolor") {
    classes.push(`${use}-${name.slice("ansi-".length)}`);
    return null;
  }
  classes.push(`${use}-free`);
  return palette === null ? exact : ofPalette(Number(palette[1]));
}

/** The colours 16 to 255 of terminals: a cube of 6 by 6 by 6, then greys. */
function ofPalette(number: number): string {
  if (number >= 232) return new Array(3).fill(8 + (number - 232) * 10).join(", ");
  const at = number - 16;
  const parts = [Math.floor(at / 36), Math.floor(at / 6) % 6, at % 6];
  return parts.map((part) => LEVELS[part]).join(", ");
}
