import { X } from "lucide-react";
import { type ReactNode, useId } from "react";
import { type ProgramPiece, PURPOSES, type Purpose, type VolumePiece } from "@/views/builder/draft";
import { FaultLines, StandingLine } from "@/views/builder/fault-lines";
import type { Fault } from "@/views/builder/faults";
import { amountsOf, type Standing, standingOf, standingOfProgram } from "@/views/builder/fits";
import { nodeCalled, type PoolNode } from "@/views/builder/pool-nodes";

interface Common {
  nodes: readonly PoolNode[];
  faults: readonly Fault[];
  onRemove: () => void;
}

/** Cores, memory or storage of a node: how much of it, by slider and by number. */
export function AmountPiece({
  zone,
  name,
  amount,
  nodes,
  faults,
  onAmount,
  onRemove,
  children,
}: Common & {
  zone: "cpu" | "memory" | "storage";
  name: string;
  /** 0: all of it, or without a bound. */
  amount: number;
  onAmount: (amount: number) => void;
  children?: ReactNode;
}) {
  const id = useId();
  const node = nodeCalled(nodes, name);
  const [, all] = node === undefined ? [null, null] : amountsOf(zone, node);
  const [unit, step, none] =
    zone === "cpu" ? ["cores", 1, "all"] : ["GiB", 0.5, zone === "storage" ? "no bound" : ""];
  const most = Math.max(amount, step, Math.floor((all ?? amount) / step) * step);
  const set = (text: string) => {
    const found = Number(text);
    if (Number.isFinite(found) && found >= 0) onAmount(zone === "cpu" ? Math.round(found) : found);
  };
  const standing = standingOf(zone, name, amount, nodes);
  return (
    <Frame
      title={name}
      label={`${name} in ${zone}`}
      standing={standing}
      faults={faults}
      onRemove={onRemove}
    >
      {children}
      <div className="piece-amount">
        <input
          type="range"
          aria-label={`${unit} of ${name}`}
          min={step}
          max={most}
          step={step}
          value={amount || most}
          onChange={(event) => set(event.target.value)}
        />
        <input
          id={id}
          className="input"
          type="number"
          aria-label={`Number of ${unit} of ${name}`}
          min={none === "" ? step : 0}
          step={step}
          placeholder={none}
          value={amount || ""}
          onChange={(event) => set(event.target.value)}
        />
        <label htmlFor={id} className="soft small">
          {unit}
        </label>
      </div>
    </Frame>
  );
}

const PURPOSE_WORDS: Record<Purpose, string> = {
  output: "keeps results (output)",
  cache: "keeps results (cache)",
  build: "build directory",
};

export function StoragePiece({
  piece,
  onPurpose,
  ...rest
}: Common & {
  piece: VolumePiece;
  onPurpose: (purpose: Purpose) => void;
  onAmount: (amount: number) => void;
}) {
  return (
    <AmountPiece zone="storage" name={piece.node} amount={piece.gb} {...rest}>
      <select
        className="input piece-purpose"
        aria-label={`What the storage of ${piece.node} is for`}
        value={piece.purpose}
        onChange={(event) => onPurpose(event.target.value as Purpose)}
      >
        {PURPOSES.map((purpose) => (
          <option key={purpose} value={purpose}>
            {PURPOSE_WORDS[purpose]}
          </option>
        ))}
      </select>
      {piece.path && <code className="small">{piece.path}</code>}
    </AmountPiece>
  );
}

export function ToolPiece({
  piece,
  nodes,
  faults,
  onVersion,
  onRemove,
}: Common & { piece: ProgramPiece; onVersion: (version: string) => void }) {
  const standing = standingOfProgram(piece, nodes);
  return (
    <Frame
      title={piece.name}
      label={`${piece.kind} ${piece.name}`}
      standing={standing}
      faults={faults}
      onRemove={onRemove}
    >
      <input
        className="input piece-version"
        aria-label={`Version of ${piece.name}`}
        placeholder="any version, or >=4 <6"
        value={piece.version}
        onChange={(event) => onVersion(event.target.value)}
      />
    </Frame>
  );
}

function Frame({
  title,
  label,
  standing,
  faults,
  onRemove,
  children,
}: {
  title: string;
  label: string;
  standing: Standing;
  faults: readonly Fault[];
  onRemove: () => void;
  children: ReactNode;
}) {
  // Of what the page sees by itself, and what the node says, the worse counts; not both are told.
  const refused = faults.some((fault) => fault.tone === "bad");
  const tone = refused ? "bad" : standing.tone;
  const said = standing.tone === "bad" ? faults.filter((fault) => fault.tone === "warn") : faults;
  return (
    <li className={`piece ${tone}`} aria-label={label}>
      <strong className="piece-name ellipsis">{title}</strong>
      <div className="piece-what">{children}</div>
      <button
        type="button"
        className="button plain icon piece-remove"
        aria-label={`Remove ${label}`}
        title="Remove"
        onClick={onRemove}
      >
        <X aria-hidden size={16} />
      </button>
      <div className="piece-standing">
        {(standing.tone === "bad" || !refused) && <StandingLine {...standing} />}
        <FaultLines faults={said} />
      </div>
    </li>
  );
}
