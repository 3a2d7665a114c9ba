const GRADES = [
  ["excellent", "up to 2 ms"],
  ["good", "up to 10 ms"],
  ["fair", "up to 80 ms"],
  ["poor", "slower"],
  ["unknown", "not known"],
] as const;

/** What the colours and lines of links mean. */
export function Legend({ knowBandwidth }: { knowBandwidth: boolean }) {
  return (
    <ul className="legend small" aria-label="Grades of links">
      {GRADES.map(([grade, words]) => (
        <li key={grade}>
          <span className={`swatch grade-${grade}`} aria-hidden="true" />
          <strong>{grade}</strong> <span className="soft">{words}</span>
        </li>
      ))}
      <li>
        <span className="swatch dashed" aria-hidden="true" />
        <strong>dashed, ~</strong> <span className="soft">estimated, not measured</span>
      </li>
      {!knowBandwidth && (
        <li>
          <strong>bandwidth</strong>{" "}
          <span className="soft">unknown: nothing large was sent lately</span>
        </li>
      )}
    </ul>
  );
}
