import { useDraggable } from "@dnd-kit/react";
import { Cpu, HardDrive, MemoryStick, Plus, Wrench } from "lucide-react";
import { memo, type ReactNode, useState } from "react";
import { Badge, StatusBadge } from "@/components/badge";
import { SearchBox } from "@/components/filters";
import type { Draft } from "@/views/builder/draft";
import { type Offer, zoneOf } from "@/views/builder/edits";
import { gib, verdict, ZONE_TITLES } from "@/views/builder/fits";
import { type OfferedProgram, offeredPrograms, type PoolNode } from "@/views/builder/pool-nodes";

/** So many nodes, and tools, are shown at first, and more each time: each has its pieces. */
const NODES_AT_ONCE = 8;
const PROGRAMS_AT_ONCE = 12;

const CPU = <Cpu aria-hidden size={16} />;
const MEMORY = <MemoryStick aria-hidden size={16} />;
const STORAGE = <HardDrive aria-hidden size={16} />;
const PROGRAM = <Wrench aria-hidden size={16} />;

interface Shaping {
  draft: Draft;
  nodes: readonly PoolNode[];
  /** Put something into its zone without dragging it. */
  onAdd: (offer: Offer) => void;
}

/** What the pool has, to be dragged into the zones. */
export function Palette(shaping: Shaping) {
  const [text, setText] = useState("");
  const [times, setTimes] = useState(1);
  const wanted = text.trim().toLowerCase();
  const has = (...words: string[]) => words.some((word) => word.toLowerCase().includes(wanted));
  const nodes = shaping.nodes.filter((node) => has(node.name));
  const programs = offeredPrograms(shaping.nodes).filter(({ name, nodes: on }) => has(name, ...on));
  const shownNodes = nodes.slice(0, times * NODES_AT_ONCE);
  const shownPrograms = programs.slice(0, times * PROGRAMS_AT_ONCE);
  const isFound = nodes.length + programs.length > 0;
  const more = nodes.length - shownNodes.length + programs.length - shownPrograms.length;
  return (
    <section className="palette card" aria-label="Palette">
      <div className="palette-search">
        <SearchBox label="Find a node or a tool" value={text} onChange={setText} />
      </div>
      {!isFound && (
        <p className="soft small">
          {wanted === ""
            ? "No node is known yet."
            : "No node is called so, and none that can be given work has such a tool."}
        </p>
      )}
      {nodes.length > 0 && <h2>Nodes</h2>}
      <ul className="palette-list">
        {shownNodes.map((node) => (
          <NodePieces key={node.id} node={node} shaping={shaping} />
        ))}
      </ul>
      {programs.length > 0 && <h2>Tools and runtimes</h2>}
      <ul className="palette-list programs">
        {shownPrograms.map((program) => (
          <li key={`${program.kind} ${program.name}`}>
            <ProgramOffer program={program} shaping={shaping} />
          </li>
        ))}
      </ul>
      {more > 0 && (
        <button type="button" className="button" onClick={() => setTimes(times + 1)}>
          Show more: {more} are left
        </button>
      )}
    </section>
  );
}

function NodePieces({ node, shaping }: { node: PoolNode; shaping: Shaping }) {
  return (
    <li className="palette-node">
      <div className="row between">
        <strong className="ellipsis">{node.name}</strong>
        {node.thisNode && <span className="soft small">this node</span>}
        <StatusBadge status={node.status} />
      </div>
      {node.away !== null && <p className="soft small">{node.away}</p>}
      <Piece
        offer={{ kind: "cpu", node: node.id }}
        what={`${node.cores ?? "unknown"} cores`}
        more={node.freeCores === null ? "" : `${node.freeCores} free`}
        of={node.name}
        icon={CPU}
        shaping={shaping}
      />
      <Piece
        offer={{ kind: "memory", node: node.id }}
        what={`${gib(node.memoryGb)} memory`}
        more={node.freeMemoryGb === null ? "" : `${gib(node.freeMemoryGb)} free`}
        of={node.name}
        icon={MEMORY}
        shaping={shaping}
      />
      {node.volumes.map((volume) => (
        <Piece
          key={volume.path}
          offer={{ kind: "storage", node: node.id, path: volume.path }}
          what={`${volume.storageClass === "unknown" ? "disk" : volume.storageClass} ${volume.path}`}
          more={`${gib(volume.freeGb)} free`}
          of={node.name}
          icon={STORAGE}
          shaping={shaping}
        />
      ))}
    </li>
  );
}

function ProgramOffer({ program, shaping }: { program: OfferedProgram; shaping: Shaping }) {
  const { kind, name, versions, nodes } = program;
  const where = nodes.length === 1 ? (nodes[0] ?? "") : `${nodes.length} nodes`;
  return (
    <Piece
      offer={{ kind, name }}
      what={name}
      more={versions[0] ?? ""}
      of={where}
      icon={PROGRAM}
      where={where}
      shaping={shaping}
    />
  );
}

function Piece({
  offer,
  shaping: { draft, nodes, onAdd },
  ...said
}: Said & { offer: Offer; shaping: Shaping }) {
  const { takes, words } = verdict(offer, zoneOf(offer), draft, nodes);
  return <Offered offer={offer} takes={takes} words={words} onAdd={onAdd} {...said} />;
}

interface Said {
  what: string;
  more: string;
  of: string;
  icon: ReactNode;
  /** Where it is, told in a badge; none: it stands with its node. */
  where?: string;
}

/** There are hundreds, of which few change at a time: the same words are not drawn again. */
const Offered = memo(
  function Offered({
    offer,
    takes,
    words,
    onAdd,
    what,
    more,
    of,
    icon,
    where,
  }: Said & {
    offer: Offer;
    takes: boolean;
    words: string;
    onAdd: (offer: Offer) => void;
  }) {
    const id = idOf(offer);
    const { ref, handleRef } = useDraggable({
      id,
      disabled: !takes,
      data: { offer, name: `${what} of ${of}` },
    });
    const zone = ZONE_TITLES[zoneOf(offer)];
    return (
      <div ref={ref} className={takes ? "offer" : "offer off"}>
        <button
          type="button"
          ref={handleRef}
          className="offer-handle"
          disabled={!takes}
          title={takes ? `Drag to ${zone}: ${words}` : words}
          data-offer={id}
        >
          {icon}
          <span className="offer-words">
            <span className="ellipsis">
              <span className="unseen">Drag </span>
              {what}
            </span>{" "}
            <span className={takes ? "soft small ellipsis" : "soft small"}>
              {takes ? more : words}
            </span>
          </span>{" "}
          {where === undefined ? <span className="unseen">of {of}</span> : <Badge>{where}</Badge>}
        </button>
        <button
          type="button"
          className="button plain icon"
          disabled={!takes}
          aria-label={`Add ${what} of ${of} to ${zone}`}
          title={takes ? `Add to ${zone}` : words}
          onClick={() => onAdd(offer)}
        >
          <Plus aria-hidden size={16} />
        </button>
      </div>
    );
  },
  ({ offer: before, ...old }, { offer: now, ...props }) =>
    idOf(before) === idOf(now) &&
    (Object.keys(props) as (keyof typeof props)[]).every((name) => old[name] === props[name]),
);

function idOf(offer: Offer): string {
  return Object.values(offer).join(" ");
}
