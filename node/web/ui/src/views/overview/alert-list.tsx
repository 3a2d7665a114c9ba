import { CircleAlert, TriangleAlert } from "lucide-react";
import { Link } from "wouter";
import { Age } from "@/components/age";
import { CopyButton } from "@/components/command";
import { plural } from "@/format/format";
import type { Alert } from "@/views/overview/alerts";

/** What somebody should look at, each with where to go and the matching command. */
export function Alerts({ alerts }: { alerts: readonly Alert[] }) {
  return (
    <section className="card overview-wide" aria-label="Alerts">
      <header>
        <h2>{plural(alerts.length, "alert")}</h2>
      </header>
      <ul className="overview-alerts">
        {alerts.map((alert) => (
          <li key={alert.id} className={alert.tone}>
            {alert.tone === "bad" ? (
              <CircleAlert aria-label="bad" size={18} />
            ) : (
              <TriangleAlert aria-label="warning" size={18} />
            )}
            <div>
              {alert.href ? <Link href={alert.href}>{alert.words}</Link> : alert.words}
              <p className="soft small">
                {alert.when && (
                  <>
                    {alert.when.words} <Age at={alert.when.at} />
                    {alert.next && ". "}
                  </>
                )}
                {alert.next}
              </p>
            </div>
            {alert.command && (
              <span className="row alert-command">
                <code className="small">{alert.command}</code>
                <CopyButton text={alert.command} label={`Copy: ${alert.command}`} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
