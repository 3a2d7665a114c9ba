import { ChevronDown, ChevronUp, Copy, Download, FileText, Search, WrapText } from "lucide-react";
import {
  type FormEvent,
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
  useId,
  useState,
} from "react";
import { copyText } from "@/components/command";
import { type LineRange, rangeText, readRange } from "@/components/log-viewer/line-range";
import type { Found } from "@/components/log-viewer/use-search";
import { useToasts } from "@/components/toasts";
import { count } from "@/format/format";

/** What can be done with a log: look for something, go to a line, wrap, copy, download. */
export function LogTools({
  search,
  onFind,
  searchBox,
  lineBox,
  range,
  onRange,
  isWrapped,
  onWrap,
  isPlain,
  onPlain,
  copy,
  onDownload,
  children,
}: {
  search: Found;
  onFind: (step: 1 | -1) => void;
  searchBox: RefObject<HTMLInputElement | null>;
  lineBox: RefObject<HTMLInputElement | null>;
  range: LineRange | null;
  onRange: (range: LineRange | null) => void;
  isWrapped: boolean;
  onWrap: () => void;
  isPlain: boolean;
  onPlain: () => void;
  /** The chosen lines; all, where none are. */
  copy: () => string;
  onDownload: () => void;
  children: ReactNode;
}) {
  const toasts = useToasts();
  const copyLines = async () => {
    try {
      await copyText(copy());
      toasts.done(range === null ? "Copied the whole log" : `Copied ${words(range)}`);
    } catch (thrown) {
      toasts.failed(thrown);
    }
  };
  const what = range === null ? "Copy the whole log" : `Copy ${words(range)}`;
  return (
    <div className="log-tools">
      {children}
      <SearchLog search={search} onFind={onFind} box={searchBox} disabled={isPlain} />
      <GoToLine range={range} onRange={onRange} box={lineBox} />
      <div className="row">
        <Tool label="Wrap long lines" isOn={isWrapped} onPress={onWrap}>
          <WrapText aria-hidden size={16} />
        </Tool>
        <Tool label="Plain text" isOn={isPlain} onPress={onPlain}>
          <FileText aria-hidden size={16} />
        </Tool>
        <Tool label={what} onPress={copyLines}>
          <Copy aria-hidden size={16} />
        </Tool>
        <Tool label="Download" onPress={onDownload}>
          <Download aria-hidden size={16} />
        </Tool>
      </div>
    </div>
  );
}

function SearchLog({
  search,
  onFind,
  box,
  disabled,
}: {
  search: Found;
  onFind: (step: 1 | -1) => void;
  box: RefObject<HTMLInputElement | null>;
  disabled: boolean;
}) {
  const id = useId();
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter") onFind(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") search.setNeedle("");
    else return;
    event.preventDefault();
  };
  return (
    <search className="log-search">
      <label htmlFor={id}>
        <Search aria-hidden size={16} />
        <span className="unseen">Search the log</span>
      </label>
      <input
        id={id}
        ref={box}
        type="search"
        className="input"
        placeholder="Search the log"
        spellCheck={false}
        disabled={disabled}
        value={search.needle}
        onChange={(event) => search.setNeedle(event.target.value)}
        onKeyDown={press}
      />
      {search.needle !== "" && <output className="small soft">{foundWords(search)}</output>}
      <Tool label="Match before (Shift+Enter)" onPress={() => onFind(-1)}>
        <ChevronUp aria-hidden size={16} />
      </Tool>
      <Tool label="Next match (Enter)" onPress={() => onFind(1)}>
        <ChevronDown aria-hidden size={16} />
      </Tool>
    </search>
  );
}

function foundWords({ total, current, isDone }: Found): string {
  const more = isDone ? "" : "+ …";
  if (total === 0) return isDone ? "not found" : "searching …";
  if (current !== null) return `${count(current + 1)} of ${count(total)}${more}`;
  return `${count(total)}${more} found`;
}

function GoToLine({
  range,
  onRange,
  box,
}: {
  range: LineRange | null;
  onRange: (range: LineRange | null) => void;
  box: RefObject<HTMLInputElement | null>;
}) {
  const shown = range === null ? "" : rangeText(range);
  const [typed, setTyped] = useState<string | null>(null);
  const isWrong = typed !== null && typed !== "" && readRange(typed) === null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (typed === null || isWrong) return;
    onRange(readRange(typed));
    setTyped(null);
  };
  return (
    <form onSubmit={submit}>
      <input
        ref={box}
        className="input log-line-box"
        aria-label="Go to line, or lines such as 120-130"
        title="Go to line, or lines such as 120-130"
        placeholder="Line"
        autoComplete="off"
        aria-invalid={isWrong}
        value={typed ?? shown}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={() => setTyped(null)}
      />
    </form>
  );
}

function Tool({
  label,
  isOn,
  onPress,
  children,
}: {
  label: string;
  /** Of what is on or off. */
  isOn?: boolean;
  onPress: () => void;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      className="button icon"
      aria-label={label}
      title={label}
      aria-pressed={isOn}
      onClick={onPress}
    >
      {children}
    </button>
  );
}

function words({ first, last }: LineRange): string {
  return first === last ? `line ${first}` : `lines ${first} to ${last}`;
}
