import { CircleAlert, CircleCheck, TriangleAlert } from "lucide-react";
import type { Fault } from "@/views/builder/faults";
import type { Standing } from "@/views/builder/fits";

const ICONS = { good: CircleCheck, warn: TriangleAlert, bad: CircleAlert };

/** How something stands, in a line with its picture. */
export function StandingLine({ tone, words }: Standing) {
  const Icon = ICONS[tone];
  return (
    <p className={`standing small ${tone}`}>
      <Icon aria-hidden size={14} />
      <span>{words}</span>
    </p>
  );
}

/** What the node finds wrong with something, or without effect. */
export function FaultLines({ faults }: { faults: readonly Fault[] }) {
  return faults.map((fault) => (
    <StandingLine key={fault.words} tone={fault.tone} words={fault.words} />
  ));
}
