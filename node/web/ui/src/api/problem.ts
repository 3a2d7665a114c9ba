/** How browsers, and Vite's loader of views, say that something did not come from the node. */
const NOT_FETCHED =
  /^(Failed to fetch|NetworkError|Load failed|error loading|Importing a module|Unable to preload)/;

/** What a node answers when it can't do what was asked (RFC 9457), and what people can do about it. */
export class Problem extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
    readonly reason: string | null = null,
    readonly hint: string | null = null,
  ) {
    super(message);
    this.name = "Problem";
  }

  /** Read the body of an answer that is no success; what is no problem details is told as it is. */
  static async of(answer: Response): Promise<Problem> {
    const body: unknown = await answer.json().catch(() => null);
    if (!isRecord(body)) {
      return new Problem(`the node answered ${answer.status}`, "HTTP", answer.status);
    }
    return new Problem(
      text(body.detail) ?? text(body.title) ?? `the node answered ${answer.status}`,
      text(body.code) ?? "HTTP",
      answer.status,
      text(body.cause),
      text(body.hint),
    );
  }

  /** Turn whatever was thrown into a problem: a node that does not answer is one too. */
  static from(thrown: unknown): Problem {
    if (thrown instanceof Problem) return thrown;
    if (thrown instanceof Error && NOT_FETCHED.test(thrown.message)) {
      return new Problem(
        "the node does not answer",
        "UNREACHABLE",
        0,
        null,
        "is it running? On its host: buildnet node status",
      );
    }
    return new Problem(thrown instanceof Error ? thrown.message : String(thrown), "PAGE", 0);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
