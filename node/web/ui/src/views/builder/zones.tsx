import { plural } from "@/format/format";
import { type Draft, STORAGE_CLASSES, type StorageClass } from "@/views/builder/draft";
import {
  amounted,
  memoryOf,
  removed,
  totalled,
  withProgram,
  withVolume,
  type ZoneName,
} from "@/views/builder/edits";
import type { PlacedFaults } from "@/views/builder/faults";
import { gib } from "@/views/builder/fits";
import { AmountPiece, StoragePiece, ToolPiece } from "@/views/builder/pieces";
import type { PoolNode } from "@/views/builder/pool-nodes";
import { askedBesides, sharesOf } from "@/views/builder/summary";
import { ZoneBox } from "@/views/builder/zone";

/** The four zones with their pieces. */
export function Zones({
  draft,
  nodes,
  faults,
  refused,
  onEdit,
}: {
  draft: Draft;
  nodes: readonly PoolNode[];
  faults: PlacedFaults;
  refused: { zone: ZoneName; words: string } | null;
  onEdit: (draft: Draft, tag?: string) => void;
}) {
  const box = (zone: ZoneName) => ({
    zone,
    draft,
    nodes,
    faults: faults.zones.get(zone) ?? [],
    refused: refused?.zone === zone ? refused.words : null,
  });
  const common = (key: string) => ({
    nodes,
    faults: faults.pieces.get(key) ?? [],
    onRemove: () => onEdit(removed(draft, key)),
    onAmount: (amount: number) => onEdit(amounted(draft, key, amount), `amount ${key}`),
  });
  const besides = askedBesides(draft, nodes);
  return (
    <div className="zones">
      <ZoneBox
        {...box("cpu")}
        besides={besides !== null && <AskedBesides {...besides} total={draft.cpu.total} />}
        isEmpty={draft.cpu.pieces.length === 0}
        empty="Nothing is chosen: a build takes the cores that are free in the whole pool."
        total={
          <Total
            label="Cores in all"
            value={draft.cpu.total}
            least={
              draft.cpu.pieces.length > 0
                ? `${sharesOf(draft, nodes).cores.chosen ?? "unknown"}`
                : "all"
            }
            step={1}
            onChange={(total) => onEdit(totalled(draft, "cpu", Math.round(total)), "cpu total")}
          />
        }
      >
        {draft.cpu.pieces.map((piece) => (
          <AmountPiece
            key={piece.key}
            zone="cpu"
            name={piece.node}
            amount={piece.cores || piece.specific.length}
            {...common(piece.key)}
          />
        ))}
      </ZoneBox>
      <ZoneBox
        {...box("memory")}
        isEmpty={draft.memory.pieces.length === 0}
        empty="Nothing is chosen: commands use what memory there is."
        total={
          <Total
            label="GiB in all"
            value={draft.memory.total}
            least={draft.memory.pieces.length > 0 ? gib(memoryOf(draft)) : "all"}
            step={0.5}
            onChange={(total) => onEdit(totalled(draft, "memory", total), "memory total")}
          />
        }
      >
        {draft.memory.pieces.map((piece) => (
          <AmountPiece
            key={piece.key}
            zone="memory"
            name={piece.node}
            amount={piece.gb}
            {...common(piece.key)}
          />
        ))}
      </ZoneBox>
      <ZoneBox
        {...box("storage")}
        isEmpty={draft.volumes.length === 0}
        empty="Nothing is chosen: results are kept in the asked node's cache alone."
        total={
          <label className="row small soft">
            at least
            <select
              className="input"
              value={draft.minClass}
              onChange={(event) =>
                onEdit({ ...draft, minClass: event.target.value as StorageClass })
              }
            >
              {STORAGE_CLASSES.map((each) => (
                <option key={each} value={each}>
                  {each === "any" ? "any class" : each}
                </option>
              ))}
            </select>
          </label>
        }
      >
        {draft.volumes.map((piece) => (
          <StoragePiece
            key={piece.key}
            piece={piece}
            onPurpose={(purpose) => onEdit(withVolume(draft, piece.key, { purpose }))}
            {...common(piece.key)}
          />
        ))}
      </ZoneBox>
      <ZoneBox
        {...box("programs")}
        isEmpty={draft.programs.length === 0}
        empty="Nothing is asked for: nodes need only what the workspace's own files say."
        total={null}
      >
        {draft.programs.map((piece) => (
          <ToolPiece
            key={piece.key}
            piece={piece}
            onVersion={(version) =>
              onEdit(withProgram(draft, piece.key, { version }), `version ${piece.key}`)
            }
            {...common(piece.key)}
          />
        ))}
      </ZoneBox>
    </div>
  );
}

/** The node that is asked for the build, which nobody has to name. */
function AskedBesides({
  node,
  cores,
  total,
}: {
  node: PoolNode;
  cores: number | null;
  /** Of all nodes; 0: without a bound. */
  total: number;
}) {
  const free = cores === null ? "the cores that are free" : plural(cores, "free core");
  return (
    <p className="zone-asked small">
      <strong className="ellipsis">{node.name}</strong>
      <span className="small soft">
        The asked node{" "}
        {total > 0
          ? `has its part of the ${total}, with at most ${free}`
          : `takes part too, with ${free} of its own`}
        . To give it fewer, add its cores here.
      </span>
    </p>
  );
}

function Total({
  label,
  value,
  least,
  step,
  onChange,
}: {
  label: string;
  /** 0: no more than the pieces, or all. */
  value: number;
  least: string;
  step: number;
  onChange: (value: number) => void;
}) {
  return (
    <label className="row small soft">
      {label}
      <input
        className="input zone-total"
        type="number"
        min={0}
        step={step}
        placeholder={least}
        value={value || ""}
        onChange={(event) => onChange(Math.max(0, Number(event.target.value) || 0))}
      />
    </label>
  );
}
