import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDownToLine } from "lucide-react";
import {
  type KeyboardEvent,
  type ReactNode,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { copyText } from "@/components/command";
import { type LineRange, rangeText, useLineRange } from "@/components/log-viewer/line-range";
import { linesText } from "@/components/log-viewer/lines-text";
import { type LogActions, pressed } from "@/components/log-viewer/log-keys";
import { LogLines } from "@/components/log-viewer/log-lines";
import { LogRows } from "@/components/log-viewer/log-rows";
import type { LogText } from "@/components/log-viewer/log-text";
import { LogTools } from "@/components/log-viewer/log-tools";
import { PlainLog } from "@/components/log-viewer/plain-log";
import { saveLog } from "@/components/log-viewer/save-log";
import { useLogVersion } from "@/components/log-viewer/use-log-version";
import {
  rowPixels,
  useEnd,
  useForgotten,
  useInWindow,
  useNamedLine,
  useScrolled,
} from "@/components/log-viewer/use-scrolling";
import { useSearch } from "@/components/log-viewer/use-search";
import { useToasts } from "@/components/toasts";
import { bytes, plural } from "@/format/format";
import "@/components/log-viewer/log-viewer.css";

const OVERSCAN_ROWS = 12;

/**
 * Shows a log of any length: only what is looked at is read and drawn. It follows the end of one that
 * grows until somebody scrolls up; lines are named in the address (`#L12-L20`).
 */
export function LogViewer({
  text,
  label,
  isLive,
  isMain = false,
  beginsAt = isLive ? "end" : "begin",
  download,
  elsewhere,
  children,
}: {
  text: LogText;
  /** What the log is of, for screen readers and the name of the file. */
  label: string;
  /** Whether more may come: then its end can be followed. */
  isLive: boolean;
  /** Whether the window is brought to it when it is opened, past what stands above. */
  isMain?: boolean;
  beginsAt?: "begin" | "end";
  /** Where the whole of it can be had, as it was kept. */
  download?: string;
  /** Where a line has a place of its own, and an address that lasts; null: it has none. */
  elsewhere?: (line: number) => { href: string; go: () => void } | null;
  /** More tools. */
  children?: ReactNode;
}) {
  const version = useLogVersion(text);
  const lines = useMemo(() => new LogLines(text), [text]);
  const pixels = useMemo(rowPixels, []);
  const viewer = useRef<HTMLDivElement>(null);
  const scroll = useRef<HTMLDivElement>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const lineBox = useRef<HTMLInputElement>(null);
  const [isWrapped, setWrapped] = useState(false);
  const [isPlain, setPlain] = useState(false);
  const [plainLine, setPlainLine] = useState<{ line: number } | null>(null);
  const [range, setRange] = useLineRange();
  const [follows, setFollows] = useState(beginsAt === "end" && range === null);
  const toasts = useToasts();
  const rows = useVirtualizer({
    count: text.rows,
    getScrollElement: () => scroll.current,
    estimateSize: () => pixels,
    overscan: OVERSCAN_ROWS,
    useFlushSync: false,
  });
  const scrolled = useScrolled(setFollows);
  const goTo = (row: number, align: "center" | "start" = "center") => {
    setFollows(false);
    if (isPlain) return setPlainLine({ line: text.lineOf(row) });
    scrolled.stay();
    rows.scrollToIndex(row, { align });
    scroll.current?.scrollIntoView({ block: "nearest" });
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: each row has another height then
  useLayoutEffect(() => rows.measure(), [isWrapped]);
  useEnd(scroll, follows && !isPlain, version, rows.getTotalSize());
  useForgotten(scroll, text, pixels);
  useInWindow(viewer, isMain, isLive, text.rows);
  const notGoing = useNamedLine(text, version, range, goTo);

  const search = useSearch(text, version, goTo);
  const find = (step: 1 | -1) => search.go(step, Math.ceil((rows.scrollOffset ?? 0) / pixels));
  const choose = (line: number, extend: boolean) => {
    const place = extend ? null : (elsewhere?.(line) ?? null);
    if (place !== null) return place.go();
    const from = extend && range !== null ? range : oneLine(line);
    const chosen = { first: Math.min(from.first, line), last: Math.max(from.last, line) };
    notGoing(chosen);
    setRange(chosen);
  };
  const whole = { first: text.firstLine, last: text.lines };
  const end = () => setFollows(true);
  const actions: LogActions = {
    begin: () => goTo(0, "start"),
    end,
    next: () => find(1),
    before: () => find(-1),
    search: () => enter(searchBox.current),
    line: () => enter(lineBox.current),
    wrap: () => setWrapped(!isWrapped),
    chooseAll: () => {
      notGoing(whole);
      setRange(whole);
    },
    chooseNone: () => setRange(null),
    copy: () => {
      if (range === null || getSelection()?.isCollapsed === false) return false;
      copyText(linesText(text, range)).catch(toasts.failed);
      return true;
    },
  };
  const searchInside = (event: KeyboardEvent) => {
    if (!(event.ctrlKey || event.metaKey) || event.key !== "f") return;
    event.preventDefault();
    enter(searchBox.current);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the browser's own search sees a few rows
    <div
      ref={viewer}
      className={isPlain ? "log-viewer" : `log-viewer fits${isLive ? " grows" : ""}`}
      onKeyDown={searchInside}
    >
      <LogTools
        search={search}
        onFind={find}
        searchBox={searchBox}
        lineBox={lineBox}
        range={range}
        onRange={setRange}
        isWrapped={isWrapped}
        onWrap={() => setWrapped(!isWrapped)}
        isPlain={isPlain}
        onPlain={() => {
          setPlain(!isPlain);
          setPlainLine(null);
        }}
        copy={() => linesText(text, range ?? whole)}
        onDownload={() => saveLog(text, label, download)}
      >
        {children}
      </LogTools>
      {isPlain ? (
        <PlainLog text={text} label={label} from={rows.range?.startIndex ?? 0} wanted={plainLine} />
      ) : (
        <div className="log-frame">
          <div
            ref={scroll}
            className="log-scroll"
            role="log"
            aria-label={label}
            aria-live="off"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
            tabIndex={0}
            onKeyDown={(event) => pressed(event, pixels, actions)}
            {...scrolled.handlers}
          >
            <div
              className={isWrapped ? "log-rows wrapped" : "log-rows"}
              style={{ height: rows.getTotalSize() }}
            >
              <LogRows
                items={rows.getVirtualItems()}
                text={text}
                lines={lines}
                search={search}
                range={range}
                onChoose={choose}
                hrefOf={(line) => elsewhere?.(line)?.href ?? `#${rangeText(oneLine(line))}`}
                measure={isWrapped ? rows.measureElement : undefined}
              />
            </div>
          </div>
          {isLive && !follows && (
            <button type="button" className="button primary log-to-end" onClick={end}>
              <ArrowDownToLine aria-hidden size={16} />
              Follow the end
            </button>
          )}
        </div>
      )}
      <div className="log-foot soft small">
        <span>
          {plural(text.lines, "line")}, {bytes(text.characters)}
          {text.firstLine > 1 && `, shown from line ${text.firstLine} on`}
          {isLive && (follows ? ", following the end" : ", not following")}
        </span>
        <span className="log-help">
          <kbd>/</kbd> search · <kbd>n</kbd> <kbd>N</kbd> next, before · <kbd>g</kbd> <kbd>G</kbd>{" "}
          begin, end · <kbd>l</kbd> line · <kbd>w</kbd> wrap
        </span>
      </div>
    </div>
  );
}

function oneLine(line: number): LineRange {
  return { first: line, last: line };
}

function enter(box: HTMLInputElement | null): void {
  box?.focus();
  box?.select();
}
