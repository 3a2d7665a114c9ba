import { PencilLine, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, query, type Schema } from "@/api/client";
import { useMay } from "@/api/session";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { ConfirmByName, FormDialog } from "@/components/dialog";
import { TextField } from "@/components/field";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { NotAnswered } from "@/components/kept";
import { Empty, Loading } from "@/components/states";
import { Table } from "@/components/table";
import { useToasts } from "@/components/toasts";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { quoted } from "@/format/shell";
import { kept } from "@/views/builder/calls";
import { TemplateDialog } from "@/views/builder/load-dialogs";
import { useKeptAnew } from "@/views/builder/save-dialogs";
import * as store from "@/views/builder/store";

type Saved = (Schema["SavedConfiguration"] | Schema["SavedTemplate"]) & {
  kind: "configuration" | "template";
};

/** The configurations and templates that are kept, for everybody. */
export function KeptList() {
  const configs = query.useQuery("get", "/api/configs");
  const templates = query.useQuery("get", "/api/templates");
  const mayChange = useMay("modify-config");
  const mayDelete = useMay("delete-config");
  const toasts = useToasts();
  const [, go] = useLocation();
  const [text, setText] = useFilterInPlace("text");
  const [kind, setKind] = useFilter("kind");
  const [asked, setAsked] = useState<{ what: "rename" | "delete" | "use"; saved: Saved } | null>(
    null,
  );
  const failed = configs.error ? configs : templates;
  const problem = <NotAnswered asked={failed} command="buildnet config list" />;
  if (configs.data === undefined || templates.data === undefined) {
    return failed.error ? problem : <Loading what="what is kept" lines={6} />;
  }
  const all: Saved[] = [
    ...configs.data.configs.map((each) => ({ ...each, kind: "configuration" as const })),
    ...templates.data.templates.map((each) => ({ ...each, kind: "template" as const })),
  ];
  const wanted = text.trim().toLowerCase();
  const shown = all.filter(
    (each) =>
      (kind === "" || each.kind === kind) &&
      [each.id, each.name ?? "", each.description ?? ""].some((words) =>
        words.toLowerCase().includes(wanted),
      ),
  );
  const drafts = [...configs.data.drafts, ...templates.data.drafts];
  const open = async (saved: Saved) => {
    if (saved.kind === "template") {
      setAsked({ what: "use", saved });
      return;
    }
    try {
      const { draft, version } = await kept(saved.id);
      store.load(draft, version);
      go("/ui/builder");
    } catch (thrown) {
      toasts.failed(thrown, `buildnet config show ${saved.id}`);
    }
  };
  return (
    <>
      {problem}
      <FilterBar shown={shown.length} total={all.length} noun="kept" many="kept">
        <SearchBox label="Id, title or purpose" value={text} onChange={setText} />
        <Choice
          label="Kind"
          value={kind}
          options={["", "configuration", "template"]}
          onChange={setKind}
        />
      </FilterBar>
      {drafts.length > 0 && (
        <div className="notice warn">
          Waiting for a majority of the voters: {drafts.map((draft) => draft.id).join(", ")}
        </div>
      )}
      {shown.length === 0 ? (
        <Empty title="Nothing is kept that matches" />
      ) : (
        <Table
          caption="Configurations and templates"
          rows={shown}
          keyOf={(saved) => `${saved.kind} ${saved.id}`}
          columns={[
            {
              name: "id",
              sort: (saved) => saved.id,
              cell: (saved) => (
                <button type="button" className="kept-open" onClick={() => open(saved)}>
                  {saved.id}
                </button>
              ),
            },
            { name: "kind", sort: (saved) => saved.kind, cell: (saved) => saved.kind },
            {
              name: "title",
              sort: (saved) => saved.name,
              cell: (saved) => (
                <>
                  {saved.name}
                  {saved.description && <div className="soft small">{saved.description}</div>}
                  {saved.problem !== null && <Badge tone="bad">can't be read</Badge>}
                </>
              ),
            },
            {
              name: "version",
              numeric: true,
              sort: (saved) => saved.version,
              cell: (saved) => (saved.system ? "built in" : saved.version),
            },
            {
              name: "changed",
              sort: (saved) => saved.changed_at,
              cell: (saved) =>
                saved.system ? null : (
                  <span className="small">
                    <Age at={saved.changed_at} /> by {saved.changed_by ?? "unknown"}
                  </span>
                ),
            },
            {
              name: "do",
              title: "what can be done",
              isUntitled: true,
              cell: (saved) =>
                saved.system ? null : (
                  <div className="row kept-acts">
                    {mayChange && (
                      <button
                        type="button"
                        className="button plain icon"
                        aria-label={`Rename ${saved.id}`}
                        title="Rename"
                        onClick={() => setAsked({ what: "rename", saved })}
                      >
                        <PencilLine aria-hidden size={16} />
                      </button>
                    )}
                    {mayDelete && (
                      <button
                        type="button"
                        className="button plain icon"
                        aria-label={`Delete ${saved.id}`}
                        title="Delete"
                        onClick={() => setAsked({ what: "delete", saved })}
                      >
                        <Trash2 aria-hidden size={16} />
                      </button>
                    )}
                  </div>
                ),
            },
          ]}
        />
      )}
      {asked?.what === "use" && (
        <TemplateDialog
          chosen={asked.saved.id}
          onUsed={() => go("/ui/builder")}
          onClose={() => setAsked(null)}
        />
      )}
      {asked?.what === "rename" && (
        <RenameDialog saved={asked.saved} onClose={() => setAsked(null)} />
      )}
      {asked?.what === "delete" && (
        <DeleteDialog saved={asked.saved} onClose={() => setAsked(null)} />
      )}
    </>
  );
}

function commandOf(saved: Saved): "config" | "template" {
  return saved.kind === "template" ? "template" : "config";
}

/** The id stays: others go by it. The title is what is changed. */
function RenameDialog({ saved, onClose }: { saved: Saved; onClose: () => void }) {
  const anew = useKeptAnew();
  const [name, setName] = useState(saved.name ?? "");
  const request = {
    params: { path: { name: saved.id }, query: { expects: saved.version } },
    body: { name: name.trim() || null },
  };
  return (
    <FormDialog
      title={`Rename ${saved.id}`}
      verb="Rename"
      {...(saved.kind === "configuration" && {
        command: `buildnet config edit ${saved.id} --set ${quoted(`name=${name}`)}`,
      })}
      onClose={onClose}
      act={async () => {
        if (saved.kind === "template") await api.PUT("/api/templates/{name}", request);
        else await api.PUT("/api/configs/{name}", request);
        await anew();
      }}
    >
      <TextField
        label="Title"
        hint="its id stays: builds and commands go by it"
        maxLength={100}
        value={name}
        onChange={setName}
      />
    </FormDialog>
  );
}

function DeleteDialog({ saved, onClose }: { saved: Saved; onClose: () => void }) {
  const anew = useKeptAnew();
  const request = { params: { path: { name: saved.id }, query: { expects: saved.version } } };
  return (
    <ConfirmByName
      title={`Delete the ${saved.kind} ${saved.id}?`}
      name={saved.id}
      verb="Delete"
      command={`buildnet ${commandOf(saved)} delete ${saved.id}`}
      act={async () => {
        if (saved.kind === "template") await api.DELETE("/api/templates/{name}", request);
        else await api.DELETE("/api/configs/{name}", request);
        await anew();
      }}
      onClose={onClose}
    >
      <p>It is gone for everybody in the cluster; the ledger keeps that it was there.</p>
    </ConfirmByName>
  );
}
