import { Problem } from "@/api/problem";
import { type Channel, type Item, type Items, type LiveEvent, OUTPUT_SO_FAR } from "@/live/items";

/** How the page stands with its node: `lost` tries again by itself, `ended` does not. */
type FeedStatus = "connecting" | "live" | "lost" | "ended";

export interface FeedState {
  status: FeedStatus;
  /** Frozen by who looks: what happens is noted, and shown when they go on. */
  paused: boolean;
  /** Changes that wait while it is paused. */
  waiting: number;
  /** When the node was last heard, in milliseconds since 1970 by this browser's clock. */
  heardAt: number | null;
  /** Why it is lost or ended. */
  reason: string | null;
  /** Why nothing live is told to who is logged in; null: it is, or the connection is what fails. */
  refusal: Problem | null;
  /** How often the node could not tell what happened while the connection was lost. */
  gaps: number;
}

/** What the feed needs of a browser; tests pass their own. */
export interface Surroundings {
  open(ticket: string): WebSocket;
  ticket(): Promise<string>;
  now(): number;
  /** Run this before the next picture is drawn. */
  soon(run: () => void): void;
  after(ms: number, run: () => void): () => void;
  /** Run this when the device's network comes or goes, or somebody looks again; returns what ends it. */
  changed(run: () => void): () => void;
}

type EventListener = (event: LiveEvent) => void;

const EMPTY: Items = new Map();
const ALWAYS: readonly Channel[] = ["nodes", "resources", "builds", "queue"];
const SILENT_AFTER_MS = 40_000; // the node says `alive` each 25 s
const ANSWERS_WITHIN_MS = 3_000;
const RETRY_MS = [250, 500, 1_000, 2_000, 5_000];
const POLICY = 1008;

/**
 * The node's events in this page: one WebSocket, its channels as maps of items that never change in
 * place, so that a view draws again only when what it shows is another object. Goes on from the last
 * cursor when the connection broke.
 */
export class Feed {
  private socket: WebSocket | null = null;
  private cursor: string | null = null;
  private stopped = true;
  private attempt = 0;
  private cancelRetry: (() => void) | null = null;
  private cancelSilence: () => void = () => {};
  private endWatch: () => void = () => {};
  private drawing = false;
  private readonly extra = new Map<Channel, number>();
  /** The channels that the node was last asked for. */
  private asked = "";
  private readonly current = new Map<Channel, Map<string, Item>>();
  private readonly changed = new Set<Channel>();
  private shown = new Map<Channel, Items>();
  private readonly told = new WeakMap<object, number>();
  private state: FeedState = {
    status: "connecting",
    paused: false,
    waiting: 0,
    heardAt: null,
    reason: null,
    refusal: null,
    gaps: 0,
  };
  private readonly listeners = new Set<() => void>();
  private readonly eventListeners = new Set<EventListener>();

  /** `always`: the channels that are told whether or not somebody listens; `build`: of one alone. */
  constructor(
    private readonly around: Surroundings,
    private readonly always: readonly Channel[] = ALWAYS,
    private readonly build: string | null = null,
  ) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.endWatch = this.around.changed(() => this.check());
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.endWatch();
    this.cancelRetry?.();
    this.cancelRetry = null;
    this.cancelSilence();
    this.socket?.close();
    this.socket = null;
  }

  /**
   * Find out now whether the node can be heard: the device's network came or went, or it slept. A
   * connection of which nothing is left may look open for a long time.
   */
  check(): void {
    if (this.cancelRetry !== null) {
      this.cancelRetry();
      this.attempt = 0;
      this.connect();
    } else if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "ping" }));
      this.endIfSilent(ANSWERS_WITHIN_MS);
    }
  }

  /** Call this after each change; returns what ends it. */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  items = (channel: Channel): Items => this.shown.get(channel) ?? EMPTY;

  getState = (): FeedState => this.state;

  /** When an item was told as it is, in milliseconds since 1970 by this browser's clock. */
  toldAt = (item: object): number => this.told.get(item) ?? this.around.now();

  /** Hear each event of a channel as it comes, paused or not. */
  listen(channel: Channel, listener: EventListener): () => void {
    const mine: EventListener = (event) => {
      if (event.channel === channel) listener(event);
    };
    this.eventListeners.add(mine);
    this.extra.set(channel, (this.extra.get(channel) ?? 0) + 1);
    this.askIfOthers();
    return () => {
      this.eventListeners.delete(mine);
      const left = (this.extra.get(channel) ?? 1) - 1;
      if (left > 0) this.extra.set(channel, left);
      else this.extra.delete(channel);
      // Not before the next picture: who comes after who left may listen to the same.
      this.around.soon(() => this.askIfOthers());
    };
  }

  pause(): void {
    this.tell({ paused: true });
  }

  resume(): void {
    this.tell({ paused: false, waiting: 0 });
    this.publish();
  }

  private channels(): Channel[] {
    return [...new Set([...this.always, ...this.extra.keys()])].sort();
  }

  private connect(): void {
    this.cancelRetry = null;
    this.tell({ status: this.cursor === null ? "connecting" : "lost" });
    this.around.ticket().then(
      (ticket) => this.open(ticket),
      (thrown: unknown) => {
        const problem = Problem.from(thrown);
        const { status, message, code } = problem;
        // Nobody is logged in any more, or may not be told: to try again changes nothing.
        if (status === 401) this.tell({ status: "ended", reason: message });
        else if (status === 403 && code !== "OTHER_SITE") {
          this.tell({ status: "ended", reason: message, refusal: problem });
        } else this.lost(message);
      },
    );
  }

  private open(ticket: string): void {
    if (this.stopped) return;
    const socket = this.around.open(ticket);
    this.socket = socket;
    socket.onopen = () => this.ask(this.cursor);
    socket.onmessage = (message: MessageEvent<string>) => {
      if (socket === this.socket) this.heard(JSON.parse(message.data) as Record<string, unknown>);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      if (event.code === POLICY) this.tell({ status: "ended", reason: event.reason });
      else this.lost(event.reason || "the connection broke");
    };
  }

  private askIfOthers(): void {
    if (this.channels().join() !== this.asked) this.ask(null);
  }

  private ask(cursor: string | null): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const channels = this.channels();
    this.asked = channels.join();
    this.socket.send(
      JSON.stringify({
        type: "subscribe",
        channels,
        ...(cursor !== null && { cursor }),
        ...(this.build !== null && { build: this.build }),
      }),
    );
  }

  private lost(reason: string): void {
    if (this.stopped) return;
    this.cancelSilence();
    this.tell({ status: "lost", reason });
    const wait = RETRY_MS[Math.min(this.attempt, RETRY_MS.length - 1)] ?? 5_000;
    this.attempt += 1;
    this.cancelRetry = this.around.after(wait, () => this.connect());
  }

  private endIfSilent(ms: number): void {
    this.cancelSilence();
    this.cancelSilence = this.around.after(ms, () => {
      const silent = this.socket;
      // Not when it has closed: without a network nobody answers that either.
      this.socket = null;
      silent?.close();
      this.lost("nothing is heard of the node");
    });
  }

  private heard(message: Record<string, unknown>): void {
    this.endIfSilent(SILENT_AFTER_MS);
    this.state = { ...this.state, heardAt: this.around.now() };
    if (typeof message.cursor === "string") this.cursor = message.cursor;
    if (message.type === "error") {
      this.tell({ reason: String(message.message) });
      return;
    }
    if (message.gap === true) this.tell({ gaps: this.state.gaps + 1 });
    if (message.type === "snapshot") {
      this.replace(message.state as Snapshot, message.channels);
      this.tellSoFar(message.state as Snapshot, String(message.cursor));
    }
    if (message.type === "events") this.apply(message.events as LiveEvent[]);
    this.attempt = 0;
    if (this.state.status !== "live") this.tell({ status: "live", reason: null });
    this.draw();
  }

  private replace(state: Snapshot, channels: unknown): void {
    for (const channel of channels as Channel[]) {
      if (channel === "logs") continue;
      const items = new Map(Object.entries(state[channel] ?? {}));
      for (const item of items.values()) this.told.set(item, this.around.now());
      this.current.set(channel, items);
      this.changed.add(channel);
    }
  }

  /** What running tasks printed before is told like what they print. */
  private tellSoFar(state: Snapshot, cursor: string): void {
    const at = this.around.now() / 1_000;
    for (const data of Object.values(state.logs ?? {})) {
      const event: LiveEvent = { cursor, channel: "logs", type: OUTPUT_SO_FAR, at, data };
      for (const listener of this.eventListeners) listener(event);
    }
  }

  private apply(events: LiveEvent[]): void {
    for (const event of events) {
      this.cursor = event.cursor;
      const id = event.data.id;
      if (typeof id === "string" && event.channel !== "ledger" && event.channel !== "logs") {
        this.change(event.channel, event.data as Item);
      }
      for (const listener of this.eventListeners) listener(event);
    }
    if (this.state.paused)
      this.state = { ...this.state, waiting: this.state.waiting + events.length };
  }

  private change(channel: Channel, news: Item): void {
    let items = this.current.get(channel);
    if (items === undefined) {
      items = new Map();
      this.current.set(channel, items);
    }
    if (news.gone) items.delete(news.id);
    else {
      const item = { ...items.get(news.id), ...news };
      this.told.set(item, this.around.now());
      items.set(news.id, item);
    }
    this.changed.add(channel);
  }

  /** Gather what came within a picture: a hundred nodes change in one go. */
  private draw(): void {
    if (this.drawing) return;
    this.drawing = true;
    this.around.soon(() => {
      this.drawing = false;
      if (this.state.paused) this.wake();
      else this.publish();
    });
  }

  private publish(): void {
    for (const channel of this.changed) {
      this.shown.set(channel, new Map(this.current.get(channel)));
    }
    this.changed.clear();
    this.wake();
  }

  private tell(news: Partial<FeedState>): void {
    this.state = { ...this.state, ...news };
    this.wake();
  }

  private wake(): void {
    for (const listener of this.listeners) listener();
  }
}

type Snapshot = Partial<Record<Channel, Record<string, Item>>>;
