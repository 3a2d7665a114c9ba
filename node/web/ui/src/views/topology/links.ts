import type { Schema } from "@/api/client";
import { count, latency } from "@/format/format";

type Connection = Schema["Connection"];
export type Grade = NonNullable<Connection["status"]>;

/** What is known of the way between two nodes. */
export interface Link {
  from: string;
  to: string;
  latencyMs: number | null;
  bandwidthMbps: number | null;
  grade: Grade | null;
  /** Not measured between these two: worked out from others' measurements. */
  estimated: boolean;
  /** When it was measured or told, in milliseconds since 1970 by this browser's clock. */
  at: number | null;
}

/** The links of a pool, found by either direction. */
export class Links {
  readonly all: readonly Link[];
  private readonly byPair: ReadonlyMap<string, Link>;

  constructor(connections: readonly Connection[], askedAt: number) {
    this.all = connections.map((one) => ({
      from: one.from_node,
      to: one.to_node,
      latencyMs: one.latency_ms,
      bandwidthMbps: one.bandwidth_mbps,
      grade: one.status,
      estimated: one.estimated,
      at: one.age_s === null ? null : askedAt - one.age_s * 1_000,
    }));
    this.byPair = new Map(this.all.map((link) => [pair(link.from, link.to), link]));
  }

  get knowBandwidth(): boolean {
    return this.all.some((link) => link.bandwidthMbps !== null);
  }

  between(one: string, other: string): Link | undefined {
    return this.byPair.get(pair(one, other));
  }

  /** The links of a node, the fastest first. */
  of(id: string): Link[] {
    return this.all.filter((link) => link.from === id || link.to === id).sort(bySpeed);
  }

  /** Those that builds suffer from, the slowest first. */
  slowest(limit: number): Link[] {
    return this.all
      .filter((link) => link.grade === "poor" || link.grade === "fair")
      .sort((a, b) => bySpeed(b, a))
      .slice(0, limit);
  }
}

export function otherEnd(link: Link, id: string): string {
  return link.from === id ? link.to : link.from;
}

/** "12 ms, 940 Mbit/s, estimated"; that no bandwidth is known is told once, not with each link. */
export function linkWords(link: Link | undefined): string {
  if (link === undefined) return "unknown";
  return [...figures(link), ...(link.estimated ? ["estimated"] : [])].join(", ");
}

/** The same in a drawing: "~12 ms" is estimated. */
export function linkLabel(link: Link): string {
  return `${link.estimated ? "~" : ""}${figures(link).join(", ")}`;
}

function figures({ latencyMs, bandwidthMbps }: Link): string[] {
  const rate = bandwidthMbps === null ? [] : [`${count(Math.round(bandwidthMbps))} Mbit/s`];
  return [latency(latencyMs), ...rate];
}

function bySpeed(a: Link, b: Link): number {
  return (a.latencyMs ?? Number.POSITIVE_INFINITY) - (b.latencyMs ?? Number.POSITIVE_INFINITY);
}

function pair(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
